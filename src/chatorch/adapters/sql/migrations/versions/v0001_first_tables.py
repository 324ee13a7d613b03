"""First tables."""

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None

# As they were in this step: the application's own types may change, a step does not.
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
LIVE = sa.text("status IN ('queued', 'streaming')")


def upgrade() -> None:
    _create_users()
    _create_threads()
    _create_messages()
    _create_runs()
    _create_idempotency_keys()
    _create_interactions()


def downgrade() -> None:
    for table in ("interactions", "idempotency_keys", "runs", "messages", "threads", "users"):
        op.drop_table(table)


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", KEY, nullable=False),
        sa.Column("username", KEY, nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("password_changed_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("username", name="uq_users_username"),
    )


def _create_threads() -> None:
    op.create_table(
        "threads",
        sa.Column("id", KEY, nullable=False),
        sa.Column("owner_id", KEY, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_threads"),
    )
    op.create_index("ix_threads_owner_id_updated_at_id", "threads", ["owner_id", "updated_at", "id"])


def _create_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", KEY, nullable=False),
        sa.Column("thread_id", KEY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("run_id", KEY, nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("client_timestamp", sa.Text(), nullable=True),
        sa.Column("superseded", sa.Boolean(), nullable=False),
        _of_thread("messages"),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.UniqueConstraint("thread_id", "position", name="uq_messages_thread_id_position"),
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", KEY, nullable=False),
        sa.Column("thread_id", KEY, nullable=False),
        sa.Column("owner_id", KEY, nullable=False),
        sa.Column("user_message_id", KEY, nullable=False),
        sa.Column("message_id", KEY, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat", sa.BigInteger(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("finish_reason", sa.Text(), nullable=True),
        *_usage(),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_detail", sa.Text(), nullable=True),
        sa.Column("error_retryable", sa.Boolean(), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("guest_label", sa.Text(), nullable=True),
        _of_thread("runs"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_index("ix_runs_thread_id", "runs", ["thread_id"])
    op.create_index("uq_runs_live_thread", "runs", ["thread_id"], unique=True, sqlite_where=LIVE, postgresql_where=LIVE)
    op.create_index("ix_runs_live_owner", "runs", ["owner_id"], sqlite_where=LIVE, postgresql_where=LIVE)


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("owner_id", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("thread_id", KEY, nullable=False),
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        _of_thread("idempotency_keys"),
        sa.PrimaryKeyConstraint("owner_id", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_thread_id", "idempotency_keys", ["thread_id"])


def _create_interactions() -> None:
    op.create_table(
        "interactions",
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("thread_id", KEY, nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        *_usage(),
        sa.Column("first_piece_ms", sa.BigInteger(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("guest_label", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name="pk_interactions"),
    )
    op.create_index("ix_interactions_created_at", "interactions", ["created_at"])


def _of_thread(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_thread_id_threads"
    return sa.ForeignKeyConstraint(["thread_id"], ["threads.id"], name=name, ondelete="CASCADE")


def _usage() -> tuple[sa.Column[int], sa.Column[int], sa.Column[int], sa.Column[str]]:
    return (
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=True),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=True),
        sa.Column("total_tokens", sa.BigInteger(), nullable=True),
        sa.Column("usage_source", sa.Text(), nullable=True),
    )
