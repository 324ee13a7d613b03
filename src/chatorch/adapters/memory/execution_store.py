"""Runs in memory, as their executors report them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from chatorch.adapters.memory.state import State
from chatorch.domain.model.conversation import MessageStatus, RunId
from chatorch.domain.model.run import TAKEOVER_GAP, Run, RunStatus, position_after
from chatorch.ports.runs import Checkpoint, ExecutionStore, LiveRun, Outcome, Ownership


class MemoryExecutionStore(ExecutionStore):
    def __init__(self, state: State) -> None:
        self._state = state

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> Mapping[RunId, Ownership]:
        self._state.require_writable()
        return {checkpoint.run_id: self._save(checkpoint) for checkpoint in checkpoints}

    def _save(self, checkpoint: Checkpoint) -> Ownership:
        record = self._state.live.get(checkpoint.run_id)
        if record is None or record.run.epoch != checkpoint.epoch:
            return Ownership.LOST
        record.heartbeat += 1
        if checkpoint.text is not None:
            text = record.run.text[: checkpoint.start] + checkpoint.text
            record.run = replace(record.run, status=RunStatus.STREAMING, text=text, seq=position_after(text))
            record.answer.message = replace(record.answer.message, content=text)
        return Ownership.CANCEL if record.cancel_requested else Ownership.MINE

    async def finish(self, ending: Outcome) -> bool:
        self._state.require_writable()
        record = self._state.runs.get(ending.run_id)
        if record is None or record.run.epoch != ending.epoch:
            return False
        if record.run.status.live:
            ended = replace(
                record.run,
                status=ending.status,
                text=ending.text,
                seq=ending.seq,
                finished_at=ending.finished_at,
                finish_reason=ending.finish_reason,
                usage=ending.usage,
                error=ending.error,
                cancel_reason=ending.cancel_reason,
            )
            self._state.end_run(
                ended,
                ending.finished_at,
                first_piece_ms=ending.first_piece_ms,
                duration_ms=ending.duration_ms,
            )
            if ending.refused:
                self._mark(ended)
        return True

    def _mark(self, run: Run) -> None:
        question = self._state.threads[run.thread_id].find(run.user_message_id)
        if question is not None:
            question.message = replace(question.message, status=MessageStatus.INCOMPLETE)

    async def witness(self, quiet: Collection[RunId] = ()) -> Sequence[LiveRun]:  # noqa: ARG002
        self._state.require_writable()
        return await self.live_runs()

    async def live_runs(self) -> Sequence[LiveRun]:
        self._state.require_available()
        return [LiveRun(r.run.id, r.run.epoch, r.heartbeat) for r in self._state.live.values()]

    async def interrupt(
        self, runs: Sequence[LiveRun], now: datetime, texts: Mapping[RunId, str] = MappingProxyType({})
    ) -> Sequence[RunId]:
        self._state.require_writable()
        return [seen.run_id for seen in runs if self._interrupt(seen, now, texts.get(seen.run_id, ""))]

    def _interrupt(self, seen: LiveRun, now: datetime, text: str) -> bool:
        record = self._state.live.get(seen.run_id)
        if record is None or (record.run.epoch, record.heartbeat) != (seen.epoch, seen.heartbeat):
            return False
        run = record.run
        if len(text) > len(run.text):
            run = replace(run, text=text, seq=position_after(text))
        interrupted = replace(
            run,
            status=RunStatus.INTERRUPTED,
            epoch=run.epoch + 1,
            seq=run.seq + 1 + TAKEOVER_GAP,
            finished_at=now,
        )
        self._state.end_run(interrupted, now)
        return True
