"""The tables. What a row means is said in `chatorch.domain.model`; how the two meet is in `rows`."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    not_,
    true,
)

from chatorch.adapters.sql.columns import KEY_TEXT, UtcTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("id", KEY_TEXT, primary_key=True),
    Column("username", KEY_TEXT, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("password_changed_at", UtcTime, nullable=False),
    Column("generation", Integer, nullable=False, server_default="0"),
    # Which tools this user may use, separated by commas; NULL: those that everybody may.
    Column("tools", Text),
)

threads = Table(
    "threads",
    metadata,
    Column("id", KEY_TEXT, primary_key=True),
    # Without a foreign key: a guest owns a thread for one turn and has no account.
    Column("owner_id", KEY_TEXT, nullable=False),
    Column("title", Text, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("client_ref", KEY_TEXT),
    Column("stored", Boolean, nullable=False, server_default=true()),
    Index(None, "owner_id", "updated_at", "id"),
    Index("uq_threads_owner_id_client_ref", "owner_id", "client_ref", unique=True),
)
Index("ix_threads_unstored", threads.c.updated_at, sqlite_where=not_(threads.c.stored))

messages = Table(
    "messages",
    metadata,
    Column("id", KEY_TEXT, primary_key=True),
    Column("thread_id", KEY_TEXT, ForeignKey("threads.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("role", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("run_id", KEY_TEXT),
    Column("metadata", JSON, nullable=False),
    Column("client_timestamp", Text),
    Column("superseded", Boolean, nullable=False),
    Column("has_parts", Boolean, nullable=False, server_default=false()),
    # Says what came of calls of tools. Its role is then the assistant's: the release before knows no other for it, and
    # takes no notice of an answer without a word.
    Column("of_tools", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("thread_id", "position"),
)

message_parts = Table(
    "message_parts",
    metadata,
    # Of a message that is more than text, the parts from the second on; of a part's body, what stands from `start` on,
    # in code points. The body of a text part stands in the message's own text, from `text_at` on.
    Column("message_id", KEY_TEXT, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("head", JSON, nullable=False),
    Column("body", Text, nullable=False),
    Column("result", JSON, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("text_at", Integer),
)

runs = Table(
    "runs",
    metadata,
    Column("id", KEY_TEXT, primary_key=True),
    Column("thread_id", KEY_TEXT, ForeignKey("threads.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("owner_id", KEY_TEXT, nullable=False),
    Column("user_message_id", KEY_TEXT, nullable=False),
    Column("message_id", KEY_TEXT, nullable=False),
    Column("status", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("heartbeat", BigInteger, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("finished_at", UtcTime),
    Column("finish_reason", Text),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("total_tokens", BigInteger),
    Column("usage_source", Text),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("error_code", Text),
    Column("error_detail", Text),
    Column("error_retryable", Boolean),
    Column("cancel_reason", Text),
    Column("guest_label", Text),
    Column("generation", JSON(none_as_null=True)),
    Column("background", Boolean, nullable=False, server_default=false()),
    # When its heartbeat moved last, by its executor's clock; NULL of a run that the release before carries out.
    Column("beat_at", UtcTime),
    # What of its generation the release before does not know, and would stumble over.
    Column("offer", JSON(none_as_null=True)),
    # Up to which position of its content it stands, whoever takes it over; NULL where that is nothing.
    Column("kept", BigInteger),
    # What the credential allowed that began it, as in `users`; NULL where that was to chat, and no more.
    Column("scopes", Text),
)

# As literals, because neither database uses a partial index for a query whose condition holds parameters.
LIVE = runs.c.status.in_([literal_column("'queued'"), literal_column("'streaming'")])
"""The run has not ended. Indexes are partial by it on PostgreSQL too, as the steps make them; to say so here would load
all of that dialect into every process."""

ONE_LIVE_RUN = Index("uq_runs_live_thread", runs.c.thread_id, unique=True, sqlite_where=LIVE)
"""One live run a thread is the database's rule, whatever the code above it does."""

answer_tails = Table(
    "answer_tails",
    metadata,
    # Of a live run's text, what its message does not hold yet: from `start` on, in code points.
    Column("run_id", KEY_TEXT, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
)

sweeps = Table(
    "sweeps",
    metadata,
    # Always empty: who looks for abandoned runs writes a row and takes it back, to know that the store takes writes.
    Column("id", KEY_TEXT, primary_key=True),
)

Index("ix_runs_live_owner", runs.c.owner_id, sqlite_where=LIVE)

# What doors keep beside threads and messages, in forms of their own.

thread_notes = Table(
    "thread_notes",
    metadata,
    Column("thread_id", KEY_TEXT, ForeignKey("threads.id", ondelete="CASCADE"), primary_key=True),
    Column("body", JSON, nullable=False),
)

message_notes = Table(
    "message_notes",
    metadata,
    Column("message_id", KEY_TEXT, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("body", JSON, nullable=False),
)

side_items = Table(
    "side_items",
    metadata,
    Column("id", KEY_TEXT, primary_key=True),
    Column("thread_id", KEY_TEXT, ForeignKey("threads.id", ondelete="CASCADE"), nullable=False),
    # Behind the message at `position`, the first of them with rank 1.
    Column("position", Integer, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("body", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("superseded", Boolean, nullable=False),
    UniqueConstraint("thread_id", "position", "rank"),
)

ratings = Table(
    "ratings",
    metadata,
    Column("thread_id", KEY_TEXT, ForeignKey("threads.id", ondelete="CASCADE"), primary_key=True),
    Column("item_id", KEY_TEXT, primary_key=True),
    Column("rating", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner_id", KEY_TEXT, primary_key=True),
    Column("key", KEY_TEXT, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("thread_id", KEY_TEXT, ForeignKey("threads.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("run_id", KEY_TEXT, nullable=False),
    Column("created_at", UtcTime, nullable=False, index=True),
)

interactions = Table(
    "interactions",
    metadata,
    # Without foreign keys: the record outlives its thread.
    Column("run_id", KEY_TEXT, primary_key=True),
    Column("thread_id", KEY_TEXT, nullable=False),
    Column("user_id", KEY_TEXT, nullable=False),
    Column("model", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("total_tokens", BigInteger),
    Column("usage_source", Text),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("first_piece_ms", BigInteger),
    Column("duration_ms", BigInteger),
    Column("error_code", Text),
    Column("created_at", UtcTime, nullable=False, index=True),
    Column("guest_label", Text),
    Column("attempts", Integer, nullable=False, server_default="1"),
    # How often the model was asked by the last attempt, and what tools it called: a list of name, status and duration.
    Column("steps", Integer, nullable=False, server_default="1"),
    Column("tools", JSON(none_as_null=True)),
)

chatkit_sessions = Table(
    "chatkit_sessions",
    metadata,
    Column("id", KEY_TEXT, primary_key=True),
    Column("user_id", KEY_TEXT, nullable=False),
    Column("workflow_id", Text, nullable=False),
    Column("status", KEY_TEXT, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("retry_at", UtcTime, nullable=False),
    Column("upstream_id", KEY_TEXT),
    Column("secret_hash", KEY_TEXT),
    Column("refreshable", Boolean, nullable=False),
    Column("replaced_by", KEY_TEXT),
    Column("sealed_secret", Text),
    Column("shared", Boolean, nullable=False, server_default=false()),
    Column("generation", Integer),
    Index(None, "user_id", "secret_hash"),
    Index(None, "user_id", "status", "created_at"),
    Index(None, "status", "expires_at"),
)
