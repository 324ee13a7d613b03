"""What doors keep beside threads and messages."""

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "thread_notes",
        sa.Column("thread_id", KEY, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        _of("thread_notes", "thread_id", "threads"),
        sa.PrimaryKeyConstraint("thread_id", name="pk_thread_notes"),
    )
    op.create_table(
        "message_notes",
        sa.Column("message_id", KEY, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        _of("message_notes", "message_id", "messages"),
        sa.PrimaryKeyConstraint("message_id", name="pk_message_notes"),
    )
    op.create_table(
        "side_items",
        sa.Column("id", KEY, nullable=False),
        sa.Column("thread_id", KEY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("superseded", sa.Boolean(), nullable=False),
        _of("side_items", "thread_id", "threads"),
        sa.PrimaryKeyConstraint("id", name="pk_side_items"),
        sa.UniqueConstraint("thread_id", "position", "rank", name="uq_side_items_thread_id_position_rank"),
    )
    op.create_table(
        "ratings",
        sa.Column("thread_id", KEY, nullable=False),
        sa.Column("item_id", KEY, nullable=False),
        sa.Column("rating", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        _of("ratings", "thread_id", "threads"),
        sa.PrimaryKeyConstraint("thread_id", "item_id", name="pk_ratings"),
    )


def downgrade() -> None:
    for table in ("ratings", "side_items", "message_notes", "thread_notes"):
        op.drop_table(table)


def _of(table: str, column: str, referred: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{referred}"
    return sa.ForeignKeyConstraint([column], [f"{referred}.id"], name=name, ondelete="CASCADE")
