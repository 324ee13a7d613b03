"""Runs in memory, as their executors report them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from chatorch.adapters.memory.runs import newest
from chatorch.adapters.memory.state import RunRecord, State
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import MessageStatus, RunId, Usage
from chatorch.domain.model.estimates import with_attempt, with_last_attempt
from chatorch.domain.model.part_pieces import assembled
from chatorch.domain.model.run import INTERRUPTED, LastContent, Run, RunError, RunStatus, content_epoch, end_seq
from chatorch.ports.execution_store import Checkpoint, ClaimedRun, ExecutionStore, LiveRun, Ownership, RunEnd


class MemoryExecutionStore(ExecutionStore):
    def __init__(self, state: State) -> None:
        self._state = state

    async def checkpoint(
        self, checkpoints: Sequence[Checkpoint], now: datetime | None = None
    ) -> Mapping[RunId, Ownership]:
        self._state.require_writable()
        return {checkpoint.run_id: self._save(checkpoint, now) for checkpoint in checkpoints}

    def _save(self, checkpoint: Checkpoint, now: datetime | None) -> Ownership:
        record = self._state.live.get(checkpoint.run_id)
        if record is None or record.run.epoch != checkpoint.epoch:
            return Ownership.LOST
        record.heartbeat += 1
        record.beat_at = now or record.beat_at
        if checkpoint.news:
            if record.run.status is RunStatus.QUEUED:  # what is there is of the attempt before, where there was one
                record.run = replace(record.run, status=RunStatus.STREAMING, content=Content())
                record.pieces.clear()
            text = record.run.text
            if checkpoint.text is not None:
                text = text[: checkpoint.start] + checkpoint.text
            record.pieces |= {(piece.index, piece.start): piece for piece in checkpoint.parts}
            content = assembled(text, [record.pieces[place] for place in sorted(record.pieces)])
            record.kept = record.kept if checkpoint.kept is None else checkpoint.kept
            record.spent = checkpoint.used or record.spent
            seq = record.run.base + checkpoint.position
            record.run = replace(record.run, content=content, seq=seq)
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
            measured = {"first_piece_ms": end.first_piece_ms, "duration_ms": end.duration_ms}
            self._state.end_run(ended, end.finished_at, **measured, tally=end.tally)
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
        return [_as_seen(record) for record in self._state.live.values()]

    async def claim(
        self,
        runs: Sequence[LiveRun],
        now: datetime,
        contents: Mapping[RunId, LastContent] = MappingProxyType({}),
        *,
        history_chars: int,
    ) -> Sequence[ClaimedRun]:
        self._state.require_writable()
        claimed = []
        for seen in runs:
            if record := self._still(seen):
                content, epoch = _freshest(record.run, contents.get(seen.run_id))
                thread = self._state.threads[record.run.thread_id]
                before = [message for message in thread.shown() if message.id != record.run.message_id]
                history = newest(before, history_chars)
                silent = epoch < record.run.epoch  # all that there is is of attempts before, which have been counted
                record.spent = with_attempt(record.spent, history, content, record.kept, silent=silent)
                self._take_over(record, content, now)
                stopped = record.cancel_requested
                claimed.append(ClaimedRun(record.run, history, record.spent, record.kept, stopped))
        return claimed

    def _take_over(self, record: RunRecord, content: Content, now: datetime) -> None:
        run = replace(record.run, status=RunStatus.QUEUED, epoch=record.run.epoch + 1, content=content)
        record.run = replace(run, seq=run.base + content.tip)
        record.answer.message = record.answer.message.holding(content)
        record.heartbeat += 1
        record.beat_at = now

    def _still(self, seen: LiveRun) -> RunRecord | None:
        record = self._state.live.get(seen.run_id)
        return record if record is not None and _as_seen(record) == seen else None

    async def interrupt(
        self, runs: Sequence[LiveRun], now: datetime, contents: Mapping[RunId, LastContent] = MappingProxyType({})
    ) -> Sequence[RunId]:
        self._state.require_writable()
        return [seen.run_id for seen in runs if self._interrupt(seen, now, contents.get(seen.run_id))]

    def _interrupt(self, seen: LiveRun, now: datetime, told: LastContent | None) -> bool:
        record = self._still(seen)
        if record is None:
            return False
        run = record.run
        content, epoch = _freshest(run, told)
        interrupted = replace(
            run,
            status=RunStatus.INTERRUPTED,
            epoch=run.epoch + 1,
            seq=end_seq(run.epoch + 1, content),
            content=content,
            finished_at=now,
            outcome=replace(INTERRUPTED, usage=_used(run, content, record, silent=epoch < run.epoch)),
        )
        self._state.end_run(interrupted, now)
        return True


def _as_seen(record: RunRecord) -> LiveRun:
    run = record.run
    return LiveRun(
        run.id, run.epoch, record.heartbeat, run.owner_id, run.created_at, record.beat_at, record.cancel_requested
    )


def _freshest(run: Run, told: LastContent | None) -> tuple[Content, int]:
    """And under which epoch it was said."""
    if told is not None and told.replaces(run.status, run.epoch, run.content.tip):
        return told.content, told.epoch
    return run.content, content_epoch(run.status, run.epoch)


def _used(run: Run, content: Content, record: RunRecord, *, silent: bool) -> Usage | None:
    if record.spent is None or silent:
        return record.spent
    return with_last_attempt(record.spent, run.attempts, content, record.kept)


def _kept(error: RunError | None) -> RunError | None:
    return None if error is None else replace(error, retry_after=None)
