"""Generations of users; idempotency keys by their age; what ChatKit sessions were exchanged for."""

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels = None
depends_on = None

GOING_BACK = "Tokens that a change of password ended in the last half hour may count again; a new SECRET_KEY ends all."

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    # With defaults of the server's: processes of the release before know nothing of these columns.
    op.add_column("users", sa.Column("generation", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.add_column("chatkit_sessions", sa.Column("replaced_by", KEY, nullable=True))
    op.add_column("chatkit_sessions", sa.Column("sealed_secret", sa.Text(), nullable=True))
    op.add_column("chatkit_sessions", sa.Column("shared", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("chatkit_sessions", sa.Column("generation", sa.Integer(), nullable=True))
    op.create_index(
        "ix_chatkit_sessions_user_id_status_created_at", "chatkit_sessions", ["user_id", "status", "created_at"]
    )


def downgrade() -> None:
    op.drop_index("ix_chatkit_sessions_user_id_status_created_at", "chatkit_sessions")
    for column in ("generation", "shared", "sealed_secret", "replaced_by"):
        op.drop_column("chatkit_sessions", column)
    op.drop_index("ix_idempotency_keys_created_at", "idempotency_keys")
    op.drop_column("users", "generation")
