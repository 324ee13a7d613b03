"""Where those that look for abandoned runs try whether the store takes writes."""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table("sweeps", sa.Column("id", KEY, nullable=False), sa.PrimaryKeyConstraint("id", name="pk_sweeps"))


def downgrade() -> None:
    op.drop_table("sweeps")
