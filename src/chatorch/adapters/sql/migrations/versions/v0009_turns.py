"""Turns of several steps: what of a run stands whoever takes it over, what its record says of tools, and who may use
which.
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels = None
depends_on = None

GOING_BACK = (
    "Records of runs lose their steps and tools, and users which tools they may use; what came of calls is an answer"
    " without a word."
)


def upgrade() -> None:
    # With defaults of the server's: processes of the release before know nothing of them.
    op.add_column("messages", sa.Column("of_tools", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("runs", sa.Column("offer", sa.JSON(), nullable=True))
    op.add_column("runs", sa.Column("kept", sa.BigInteger(), nullable=True))
    op.add_column("interactions", sa.Column("steps", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("interactions", sa.Column("tools", sa.JSON(), nullable=True))
    op.add_column("users", sa.Column("tools", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "tools")
    op.drop_column("interactions", "tools")
    op.drop_column("interactions", "steps")
    op.drop_column("runs", "kept")
    op.drop_column("runs", "offer")
    op.drop_column("messages", "of_tools")
