"""The ledger of ChatKit sessions."""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None

# As they were in this step: the application's own types may change, a step does not.
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "chatkit_sessions",
        sa.Column("id", KEY, nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("status", KEY, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("retry_at", TIME, nullable=False),
        sa.Column("upstream_id", KEY, nullable=True),
        sa.Column("secret_hash", KEY, nullable=True),
        sa.Column("refreshable", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chatkit_sessions"),
    )
    op.create_index("ix_chatkit_sessions_user_id_secret_hash", "chatkit_sessions", ["user_id", "secret_hash"])
    op.create_index("ix_chatkit_sessions_status_expires_at", "chatkit_sessions", ["status", "expires_at"])


def downgrade() -> None:
    op.drop_table("chatkit_sessions")
