"""Tails of live texts, and where those that look for abandoned runs try whether the store takes writes."""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None

GOING_BACK = "What live answers have in answer_tails is put into their messages; no text is lost."

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

FOLD = """
UPDATE messages SET content = content || (
    SELECT {join}(text, '') FROM (
        SELECT text FROM answer_tails
        WHERE answer_tails.run_id = messages.run_id AND answer_tails.start >= length(messages.content)
        ORDER BY answer_tails.start
    ) AS beyond
)
WHERE EXISTS (
    SELECT 1 FROM answer_tails
    WHERE answer_tails.run_id = messages.run_id AND answer_tails.start >= length(messages.content)
)
"""


def upgrade() -> None:
    op.create_table(
        "answer_tails",
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_answer_tails_run_id_runs", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "start", name="pk_answer_tails"),
    )
    op.create_table("sweeps", sa.Column("id", KEY, nullable=False), sa.PrimaryKeyConstraint("id", name="pk_sweeps"))


def downgrade() -> None:
    join = "string_agg" if op.get_bind().dialect.name == "postgresql" else "group_concat"
    op.execute(FOLD.format(join=join))
    op.drop_table("sweeps")
    op.drop_table("answer_tails")
