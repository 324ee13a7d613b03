"""Runs as operators ask for them."""

from dataclasses import replace

from sqlalchemy import Connection, bindparam, func, select

from chatorch.adapters.sql.access import require_sane
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.rows import SELECT_RUN, to_interaction, to_run
from chatorch.adapters.sql.tables import interactions, messages, runs
from chatorch.domain.model.content import Content
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.sizes import chars_by_kind
from chatorch.ports.run_lives import RunLife, RunLives, RunRow

_RUN = SELECT_RUN.where(runs.c.id == bindparam("run_id"))
_QUESTION_CHARS = select(func.length(messages.c.content)).where(messages.c.id == bindparam("message_id"))
_INTERACTION = select(interactions).where(interactions.c.run_id == bindparam("run_id"))


class SqlRunLives(RunLives):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, run_id: str) -> RunLife:
        return await self._database.read(lambda connection: _read(connection, run_id))


def _read(connection: Connection, run_id: str) -> RunLife:
    require_sane(run_id)
    recorded = connection.execute(_INTERACTION, {"run_id": run_id}).one_or_none()
    interaction = to_interaction(recorded) if recorded is not None else None
    row = connection.execute(_RUN, {"run_id": run_id}).one_or_none()
    if row is None:
        if interaction is None:
            raise NotFound
        return RunLife(None, interaction)
    question = connection.execute(_QUESTION_CHARS, {"message_id": row.user_message_id}).scalar_one_or_none()
    run = to_run(row)
    seen = RunRow(
        replace(run, content=Content()),
        row.heartbeat,
        row.cancel_requested,
        row.guest_label,
        question or 0,
        len(run.text),
        chars_by_kind(run.content),
    )
    return RunLife(seen, interaction)
