"""Parts of messages beside their text; tokens that were cached, or thought with."""

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels = None
depends_on = None

GOING_BACK = "Messages keep their text, and lose their other parts: reasoning, calls of tools, sources, files."

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "message_parts",
        sa.Column("message_id", KEY, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("head", sa.JSON(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("text_at", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name="fk_message_parts_message_id_messages", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", "ordinal", "start", name="pk_message_parts"),
    )
    # With a default of the server's: processes of the release before know nothing of it.
    op.add_column("messages", sa.Column("has_parts", sa.Boolean(), nullable=False, server_default=sa.false()))
    for table in ("runs", "interactions"):
        op.add_column(table, sa.Column("cached_tokens", sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("reasoning_tokens", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    for table in ("runs", "interactions"):
        op.drop_column(table, "reasoning_tokens")
        op.drop_column(table, "cached_tokens")
    op.drop_column("messages", "has_parts")
    op.drop_table("message_parts")
