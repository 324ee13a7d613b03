"""Runs in memory, as their executors report them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from chatorch.adapters.memory.state import State
from chatorch.domain.model.content import Content, fresher
from chatorch.domain.model.conversation import MessageStatus, RunId
from chatorch.domain.model.part_pieces import assembled
from chatorch.domain.model.run import INTERRUPTED, Run, RunError, RunStatus, end_seq
from chatorch.ports.runs import Checkpoint, ExecutionStore, LiveRun, Ownership, RunEnd


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
        if checkpoint.news:
            text = record.run.text
            if checkpoint.text is not None:
                text = text[: checkpoint.start] + checkpoint.text
            record.pieces |= {(piece.index, piece.start): piece for piece in checkpoint.parts}
            content = assembled(text, [record.pieces[place] for place in sorted(record.pieces)])
            seq = record.run.base + checkpoint.position
            record.run = replace(record.run, status=RunStatus.STREAMING, content=content, seq=seq)
            record.answer.message = record.answer.message.holding(content)
        return Ownership.CANCEL if record.cancel_requested else Ownership.MINE

    async def finish(self, end: RunEnd) -> bool:
        self._state.require_writable()
        record = self._state.runs.get(end.run_id)
        if record is None or record.run.epoch != end.epoch:
            return False
        if record.run.status.live:
            ended = replace(
                record.run,
                status=end.outcome.status,
                content=end.content,
                seq=end.seq,
                finished_at=end.finished_at,
                outcome=replace(end.outcome, error=_kept(end.outcome.error)),
            )
            self._state.end_run(ended, end.finished_at, first_piece_ms=end.first_piece_ms, duration_ms=end.duration_ms)
            if end.refused:
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
        self, runs: Sequence[LiveRun], now: datetime, contents: Mapping[RunId, Content] = MappingProxyType({})
    ) -> Sequence[RunId]:
        self._state.require_writable()
        return [seen.run_id for seen in runs if self._interrupt(seen, now, contents.get(seen.run_id))]

    def _interrupt(self, seen: LiveRun, now: datetime, told: Content | None) -> bool:
        record = self._state.live.get(seen.run_id)
        if record is None or (record.run.epoch, record.heartbeat) != (seen.epoch, seen.heartbeat):
            return False
        run = record.run
        content = run.content if told is None else fresher(run.content, told)
        interrupted = replace(
            run,
            status=RunStatus.INTERRUPTED,
            epoch=run.epoch + 1,
            seq=end_seq(run.epoch + 1, content),
            content=content,
            finished_at=now,
            outcome=INTERRUPTED,
        )
        self._state.end_run(interrupted, now)
        return True


def _kept(error: RunError | None) -> RunError | None:
    return None if error is None else replace(error, retry_after=None)
