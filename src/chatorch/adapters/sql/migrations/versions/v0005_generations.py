"""Generations of users, and idempotency keys by their age."""

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With a default of the server's: processes of the release before know nothing of it.
    op.add_column("users", sa.Column("generation", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_idempotency_keys_created_at", "idempotency_keys")
    op.drop_column("users", "generation")
