"""What the two databases and the network say, in words for an operator: the one table, for the log and for a start.

No word of theirs goes along: messages of a server hold names, values and parts of statements.
"""

import errno
import re
import socket
import sqlite3
import ssl

from chatorch.adapters.sql.asyncpg_errors import wrong_state

_SQLSTATES = {
    "08": "the connection to PostgreSQL broke",
    "08003": "the connection to PostgreSQL was closed; a pooler such as PgBouncer does so "
    "where pool_mode is statement, and transaction or session is needed",
    "08P01": "PostgreSQL, or a pooler in front of it, refuses the connection",
    "25006": "PostgreSQL is read-only: a standby, or default_transaction_read_only",
    "28": "PostgreSQL refuses the user: it is unknown, may not log in, or pg_hba.conf does not let it in this way; "
    "see DATABASE_URL",
    "28P01": "PostgreSQL refuses the user or the password; see DATABASE_URL",
    "3D": "PostgreSQL has no database of this name; see DATABASE_URL",
    "3F": "PostgreSQL has no schema to put tables into; see search_path",
    "40": "PostgreSQL undid it for the sake of another transaction",
    "42501": "PostgreSQL refuses it: the user lacks a right",
    "42P01": "a table is not there: a backup is being restored, or `chatorch migrate` is due; see search_path too",
    "42P07": "there are tables of the same names that chatorch did not make; give it a database of its own",
    "53": "PostgreSQL lacks resources",
    "53100": "the disk of PostgreSQL is full",
    "53200": "PostgreSQL has no memory left",
    "53300": "PostgreSQL has no connection left; raise max_connections, or lower CHATORCH_DB_POOL_SIZE",
    "55P03": "something in the database is locked by another session for too long",
    "57": "PostgreSQL ended it",
    "57014": "PostgreSQL gave up the statement: it took too long",
    "57P01": "PostgreSQL is stopping",
    "57P02": "PostgreSQL crashed",
    "57P03": "PostgreSQL is starting, stopping or recovering, and takes no connections",
    "57P04": "the database was dropped",
    "57P05": "PostgreSQL closed an idle connection; see idle_session_timeout",
    "25P03": "PostgreSQL closed a transaction that was idle",
    "25P04": "PostgreSQL ended a transaction that took too long; see transaction_timeout",
    "58": "PostgreSQL cannot use its files",
    "58P01": "a file of PostgreSQL is missing",
    "XX": "PostgreSQL found its data damaged, or a fault of its own",
}
"""By SQLSTATE or its class (PostgreSQL, appendix A). The longest one that fits is taken."""

_POOLER_SAYS = (
    ("statement pooling", "it pools by statement; set pool_mode to transaction or session"),
    ("startup parameter", "it does not know a parameter, such as options; see ignore_startup_parameters"),
    ("no such database", "it has no database of this name; see DATABASE_URL"),
    ("no such user", "it has no user of this name; see DATABASE_URL"),
    ("query_wait_timeout", "it has no server connection free; see its pool sizes"),
    ("no more connections", "it has no connection left; see its max_client_conn"),
    ("server login", "it cannot log in to PostgreSQL"),
    ("connect to server", "it cannot reach PostgreSQL"),
    ("sasl", "it refuses the user or the password; see DATABASE_URL"),
    ("password", "it refuses the user or the password; see DATABASE_URL"),
    ("ssl required", "it wants TLS; see sslmode"),
)
"""What PgBouncer puts into the message of an 08P01, and the meaning."""

_SQLITE = {
    sqlite3.SQLITE_BUSY: "another process holds the SQLite file for too long",
    sqlite3.SQLITE_LOCKED: "another process holds the SQLite file for too long",
    sqlite3.SQLITE_READONLY: "the SQLite file, or its folder, cannot be written; give this user the right to both",
    sqlite3.SQLITE_IOERR: "the SQLite file cannot be read or written: the disk is broken, or refuses it",
    sqlite3.SQLITE_CORRUPT: "the SQLite file is damaged; restore a backup",
    sqlite3.SQLITE_FULL: "the disk of the SQLite file is full",
    sqlite3.SQLITE_CANTOPEN: "the SQLite file, or one beside it, cannot be opened; give this user the right to it and "
    "to its folder",
    sqlite3.SQLITE_PERM: "the SQLite file may not be opened by this user",
    sqlite3.SQLITE_NOTADB: "DATABASE_URL names a file that is no SQLite database",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
}
"""By primary result code (https://sqlite.org/rescode.html)."""

_NETWORK = {
    errno.ECONNREFUSED: "nothing listens at the address of the database; is it running, and is the port right?",
    errno.ECONNRESET: "the connection to the database was broken by the other side",
    errno.EPIPE: "the connection to the database was broken by the other side",
    errno.EHOSTUNREACH: "the machine of the database cannot be reached",
    errno.ENETUNREACH: "the network of the database cannot be reached",
    errno.ENOENT: "the database's file, folder or socket is not there",
    errno.EACCES: "this user may not write the database's file or folder, or not use its socket; give it the right to",
    errno.EPERM: "this user may not write the database's file or folder, or not use its socket; give it the right to",
    errno.EROFS: "the database's file lies on a disk that is read-only",
    errno.ENOSPC: "the disk of the database is full",
    errno.EDQUOT: "the disk quota of the database's user is used up",
    errno.EMFILE: "this process has too many files open",
    errno.ENFILE: "this machine has too many files open",
    errno.EISDIR: "the database's file is a folder",
}
_AT_CONNECTING = {
    "55000": "the database takes no connections; see ALLOW_CONNECTIONS",
    "42501": "the user may not connect to the database; grant it CONNECT",
}
_PARAMETERS = (
    "PostgreSQL does not take a parameter of the connection; see options in DATABASE_URL, and what is set by ALTER "
    "ROLE and ALTER DATABASE"
)
"""As for every other code that a server gives in place of a connection."""
_TLS_REFUSED = "the server, or a pooler in front of it, does not speak TLS; see sslmode"


class NotConnected(ConnectionError):
    """A server's refusal of a connection, by a code that means something else once there is one. Raised from it."""


def cause_of(error: object) -> str | None:
    """One sentence with the SQLSTATE where there is one; None for what has no better words than that it failed."""
    words = _words(error)
    return _sentence(words) if words else None


def meaning_of(sqlstate: str) -> str:
    """The same for a code that was not raised, but would be."""
    return _sentence(_of_state(sqlstate, ""))


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}{'' if words.endswith('?') else '.'}"


def _words(error: object) -> str | None:
    state: str | None = getattr(error, "sqlstate", None)
    if state:
        return _of_state(state, str(error))
    match error:
        case NotConnected():
            state = getattr(error.__cause__, "sqlstate", "")
            return f"{_AT_CONNECTING.get(state, _PARAMETERS)} (SQLSTATE {state})"
        case sqlite3.Error():
            return _SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        case _ if isinstance(error, wrong_state()):
            return "no host of DATABASE_URL is in the state that target_session_attrs wants"
        case OSError():
            return _of_network(error)
    return None


def _of_network(error: OSError) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"the certificate of the database's server is not trusted ({error.verify_message}); see sslrootcert"
        case ssl.SSLError():
            return "TLS with the database's server fails; see sslmode, sslcert and ssl_min_protocol_version"
        case socket.gaierror():
            return "the name of the database's host cannot be resolved; see DATABASE_URL, or the DNS"
        case TimeoutError():
            return "the database does not answer in time"
        case ConnectionError() if "SSL upgrade" in str(error):
            return _TLS_REFUSED
        case ConnectionError() if "SSL exchange" in str(error):
            return "the server refuses the connection before TLS begins; its log says why"
    return _NETWORK.get(_errno_of(error), "the database cannot be reached")


def _of_state(state: str, message: str) -> str:
    meaning = next((_SQLSTATES[state[:n]] for n in (5, 2) if state[:n] in _SQLSTATES), "PostgreSQL refuses it")
    if state == "08P01":
        said = next((words for part, words in _POOLER_SAYS if part in message.lower()), None)
        meaning = f"{meaning}: {said}" if said else meaning
    if state == "42501" and (found := re.search(r"(?:permission denied for|must be owner of) (\w+)", message)):
        meaning = f"{meaning} to a {found[1]}; grant it, or use the role that owns the tables"
    return f"{meaning} (SQLSTATE {state})"


def _errno_of(error: OSError) -> int:
    """asyncio joins the errors of several addresses into one that has only a text."""
    if error.errno:
        return error.errno
    if found := re.search(r"\[Errno (\d+)\]", str(error)):
        return int(found[1])
    return 0
