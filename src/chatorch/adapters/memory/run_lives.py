"""Runs as operators ask for them, in memory."""

from dataclasses import replace

from chatorch.adapters.memory.state import State
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.sizes import chars_by_kind
from chatorch.ports.run_lives import RunLife, RunLives, RunRow


class MemoryRunLives(RunLives):
    def __init__(self, state: State) -> None:
        self._state = state

    async def read(self, run_id: str) -> RunLife:
        self._state.require_available()
        record, interaction = self._state.runs.get(RunId(run_id)), self._state.interactions.get(RunId(run_id))
        if record is None:
            if interaction is None:
                raise NotFound
            return RunLife(None, interaction)
        run = record.run
        question = self._state.threads[run.thread_id].find(run.user_message_id)
        row = RunRow(
            replace(run, content=Content()),
            record.heartbeat,
            record.cancel_requested,
            record.guest_label,
            len(question.message.content) if question else 0,
            len(run.text),
            chars_by_kind(run.content),
        )
        return RunLife(row, interaction)
