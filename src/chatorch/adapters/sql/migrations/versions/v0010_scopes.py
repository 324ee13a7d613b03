"""Runs know what the credential allowed that began them."""

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels = None
depends_on = None

GOING_BACK = "Runs that are taken over lose the tools of admins."


def upgrade() -> None:
    op.add_column("runs", sa.Column("scopes", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "scopes")
