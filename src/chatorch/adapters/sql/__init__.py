"""The stores on SQL: SQLite by default, PostgreSQL for more.

A store method is one transaction, written once as a synchronous function over a SQLAlchemy connection; a `Database`
runs it, on a thread of its own for SQLite and over asyncpg for PostgreSQL.
"""

from chatorch.adapters.sql.backup import Backup, back_up
from chatorch.adapters.sql.calls import SqlCallStore
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.execution_store import SqlExecutionStore
from chatorch.adapters.sql.guests import SqlGuestThreadStore
from chatorch.adapters.sql.lock import StoreLock, StoreLocked
from chatorch.adapters.sql.revisions import Downgrade, Revisions, downgrade, known_revisions
from chatorch.adapters.sql.rights import lacking_rights
from chatorch.adapters.sql.run_lives import SqlRunLives
from chatorch.adapters.sql.runs import SqlRunStore
from chatorch.adapters.sql.schema import SchemaMismatch, migrate
from chatorch.adapters.sql.thread_items import SqlThreadItemStore
from chatorch.adapters.sql.thread_notes import SqlThreadNoteStore
from chatorch.adapters.sql.threads import SqlThreadStore
from chatorch.adapters.sql.unstored import SqlUnstoredThreadStore
from chatorch.adapters.sql.urls import open_database, open_lock
from chatorch.adapters.sql.users import SqlUserStore

__all__ = [
    "Backup",
    "Database",
    "Downgrade",
    "Revisions",
    "SchemaMismatch",
    "SqlCallStore",
    "SqlExecutionStore",
    "SqlGuestThreadStore",
    "SqlRunLives",
    "SqlRunStore",
    "SqlThreadItemStore",
    "SqlThreadNoteStore",
    "SqlThreadStore",
    "SqlUnstoredThreadStore",
    "SqlUserStore",
    "StoreLock",
    "StoreLocked",
    "back_up",
    "downgrade",
    "known_revisions",
    "lacking_rights",
    "migrate",
    "open_database",
    "open_lock",
]
