"""Clients' own ids of threads, threads that are not to be kept, and how an answer is to be generated."""

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels = None
depends_on = None

GOING_BACK = (
    "Threads lose their clients' own ids, and those that were not to be kept are listed and stay; "
    "runs lose how they were to be generated."
)

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("threads", sa.Column("client_ref", KEY, nullable=True))
    # With a default of the server's: processes of the release before know nothing of it.
    op.add_column("threads", sa.Column("stored", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.create_index("uq_threads_owner_id_client_ref", "threads", ["owner_id", "client_ref"], unique=True)
    op.create_index(
        "ix_threads_unstored",
        "threads",
        ["updated_at"],
        sqlite_where=sa.text("stored = 0"),
        postgresql_where=sa.text("NOT stored"),
    )
    op.add_column("runs", sa.Column("generation", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "generation")
    op.drop_index("ix_threads_unstored", table_name="threads")
    op.drop_index("uq_threads_owner_id_client_ref", table_name="threads")
    op.drop_column("threads", "stored")
    op.drop_column("threads", "client_ref")
