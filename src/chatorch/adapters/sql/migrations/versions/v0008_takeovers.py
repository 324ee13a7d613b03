"""Runs that survive their worker: when each gave its last sign of life, who need not be watched, and how many attempts
one took.
"""

import sqlalchemy as sa
from alembic import op

from chatorch.adapters.sql.columns import UtcTime

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels = None
depends_on = None

GOING_BACK = "Records of runs lose how many attempts each took."


def upgrade() -> None:
    # With defaults of the server's: processes of the release before know nothing of them.
    op.add_column("runs", sa.Column("background", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("runs", sa.Column("beat_at", UtcTime(), nullable=True))
    op.add_column("interactions", sa.Column("attempts", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    op.drop_column("interactions", "attempts")
    op.drop_column("runs", "beat_at")
    op.drop_column("runs", "background")
