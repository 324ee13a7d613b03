"""Carrying out one run: pull the model's stream, log it, and write the end before it is told."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

from chatorch.domain.model.calls import AFTERWARDS, ASKS, asks
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import RunId, Usage
from chatorch.domain.model.errors import ChatorchError, StoreUnavailable
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.run import CancelReason, Outcome, Run, RunError, RunStatus, event_of
from chatorch.domain.model.text import blank
from chatorch.domain.model.upstream_errors import UpstreamError
from chatorch.domain.services.execution.run_usage import RunUsage
from chatorch.domain.services.execution.saved import Saved
from chatorch.domain.services.execution.telling import Telling
from chatorch.ports.chat_model import ChatModel, Finish, Keep, PartEnd, PartStart, Piece, Prompt
from chatorch.ports.execution_store import Checkpoint, ExecutionStore, RunEnd
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import RunTelemetry

MAX_BACKOFF_S = 2.0
MAX_UNEXPECTED = 10
FIRST_WORDS_S = 1.0
FILTERED = "content_filter"
"""The finish reason of a provider that refuses a message, and does not call it an error."""


class RunExecution:
    """One run in flight. Exactly one of three things ends it: the model, a stop, or another worker's claim.

    `keep` stores what was said so far, and returns when that is done. One that was taken over counts from its own
    beginning (`Prompt.begun_s`), and has `spent` what its earlier attempts did. `answered` is called when the model has
    said something, or has ended.
    """

    def __init__(
        self,
        run: Run,
        prompt: Prompt,
        principal: Principal,
        *,
        telling: Telling,
        model: ChatModel,
        execution_store: ExecutionStore,
        keep: Callable[[RunId], Awaitable[None]],
        clock: Clock,
        telemetry: RunTelemetry,
        spent: Usage | None = None,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        self.run, self.principal = run, principal
        self._decided: RunEnd | None = None
        self.watchers, self.was_watched = 0, False
        self.begun_at = clock.monotonic() - prompt.begun_s
        self.saved = Saved()
        self._kept = 0
        self._kept_usage: Usage | None = None
        self.finishing_since: float | None = None
        self._told_over: asyncio.Event | None = None  # hardly any run is waited for, and one takes 800 bytes
        self._prompt: Prompt | None = prompt
        self._telling = telling
        self._model = model
        self._execution_store = execution_store
        self._keep = keep
        self._clock = clock
        self._telemetry = telemetry
        self._stopped: CancelReason | None = None
        self._lost = self._refused = self._over = False
        self._failure: UpstreamError | None = None
        self._scope: asyncio.Timeout | None = None
        self._pieces = 0
        self._first_piece_at: float | None = None
        self._answering = self._of_call = False
        self._usage = RunUsage(prompt, spent)
        self._answered = answered

    def stop(self, reason: CancelReason) -> None:
        """Cancels the run, closing the upstream connection. No effect once the model has ended, or a second time."""
        if self._stopped is None and not self._lost and self.finishing_since is None:
            self._stopped = reason
            self._leave_stream()

    def said(self) -> Content:
        """See `Telling.said`."""
        return self._telling.said()

    def checkpoint(self, content: Content) -> Checkpoint:
        """What its row lacks of `content`, which is what it has `said`."""
        return self.saved.checkpoint(self.run, content, self._kept, self._kept_usage)

    async def ended(self) -> None:
        """Waits until it is over here."""
        if not self._over:
            self._told_over = self._told_over or asyncio.Event()
            await self._told_over.wait()

    def lose(self) -> None:
        """Drops the run, since its row says that it is somebody else's. Nothing is written or told."""
        if not self._lost and self.finishing_since is None:
            self._lost = True
            self._leave_stream()

    async def carry_out(self) -> None:
        """Runs to the end. When this itself is cancelled, it saves what there is before it gives way."""
        try:
            outcome = await self._pull()
            if self._lost:
                self._give_up()
            else:
                await self._settle(outcome)
        except asyncio.CancelledError:
            await asyncio.shield(self._save_last())
            raise
        finally:
            self._over = True
            if self._told_over is not None:
                self._told_over.set()

    # -- pulling ---------------------------------------------------------------------------------------------------

    async def _pull(self) -> Outcome:
        try:
            async with asyncio.timeout(None) as self._scope:
                if self._stopped is not None or self._lost:
                    self._leave_stream()
                    await asyncio.Event().wait()  # the scope ends before the model is asked
                finish = await self._stream()
        except Exception as error:
            return self._broken_off(error)
        finally:
            self._answered()
            self.finishing_since = self._clock.monotonic()
        self._refused = finish.reason == FILTERED
        content = self._telling.content()
        # Nobody waits for a model that calls what it was not offered.
        reason = "stop" if finish.reason == ASKS and not asks(content.parts) else finish.reason
        usage = self._usage.whole(finish.usage, content)
        return Outcome(RunStatus.COMPLETED, finish_reason=reason, usage=usage)

    async def _stream(self) -> Finish:
        telling = self._telling
        async with aclosing(self._model.stream(self._take_prompt())) as pieces:
            async for piece in pieces:
                if not self._answering:
                    self._begin_to_tell(piece)
                    if self._answering and self.run.epoch > 1:
                        await self._tell_first_words(piece)
                        continue
                if isinstance(piece, str):
                    telling.append(piece)
                elif isinstance(piece, Finish):
                    self._usage.tally = piece.tally
                    return piece
                elif isinstance(piece, Keep):
                    await self._stand(piece)
                    continue
                else:
                    telling.put(piece)
                self._pieces += 1
        raise RuntimeError("the model's stream ended without a Finish")

    def _begin_to_tell(self, piece: Piece) -> None:
        """One that comes before the model answers, or with which it does: calls may be made first that were left."""
        if self._first_piece_at is None and not isinstance(piece, Finish | Keep):
            self._first_piece_at = self._clock.monotonic()
        self._telling.begin()
        if isinstance(piece, PartStart):
            self._of_call = piece.kind in AFTERWARDS
        elif isinstance(piece, PartEnd):
            self._of_call = False
        if not self._of_call and not isinstance(piece, Finish | Keep | PartEnd):
            self._answering = True
            self._answered()

    async def _tell_first_words(self, piece: Piece) -> None:
        """Of one that was taken over: they are saved at once. Were the worker to die before that, whoever has seen them
        would take what was said before for what follows them."""
        if isinstance(piece, str):
            self._telling.append(piece)
        elif isinstance(piece, PartStart):
            self._telling.put(piece)
        self._pieces += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WORDS_S):
                await self._keep(self.run.id)

    async def _stand(self, piece: Keep) -> None:
        """What was said so far outlives this worker from now on."""
        content = self._telling.content()
        self._usage.step_over(content, piece.tally)
        self._kept, self._kept_usage = content.tip, self._usage.kept()
        await self._keep(self.run.id)
        if self._lost or self._stopped is not None:
            # What follows would be done for nobody, or a second time: the scope ends before the model is asked on.
            await asyncio.Event().wait()

    def _take_prompt(self) -> Prompt:
        """Once: it is the model's from then on, which need not keep it as long as it answers."""
        prompt, self._prompt = self._prompt, None
        if prompt is None:
            raise RuntimeError("a run is carried out once")
        return prompt

    def _leave_stream(self) -> None:
        # A scope that is ending already cannot be asked again: a run may be stopped and lost at once.
        if self._scope is not None and self._scope.when() is None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    def _broken_off(self, error: Exception) -> Outcome:
        if self._scope is not None and self._scope.expired():
            return self._cancelled(self._stopped or CancelReason.USER)
        if isinstance(error, UpstreamError):
            self._refused, self._failure = error.refuses_message, error
            told = RunError(error.code, error.detail, error.retryable, error.retry_after)
        else:
            self._telemetry.failed("a run", error)
            told = RunError(ChatorchError.code, ChatorchError.default_detail, retryable=True)
        return Outcome(RunStatus.FAILED, usage=self._used(), error=told)

    def _cancelled(self, reason: CancelReason) -> Outcome:
        return Outcome(RunStatus.CANCELLED, usage=self._used(), cancel_reason=reason)

    # -- finishing -------------------------------------------------------------------------------------------------

    async def _settle(self, outcome: Outcome) -> None:
        """Writes the end until the store takes it; only then it is told."""
        end = self._decided = self._end(outcome)
        backoff, unexpected = 0.1, 0
        while unexpected < MAX_UNEXPECTED:
            try:
                mine = await self._execution_store.finish(end)
            except StoreUnavailable as error:
                self._telemetry.store_unavailable("the end of a run", error)
            except Exception as error:
                unexpected += 1
                self._telemetry.failed("the end of a run", error)
            else:
                return self._publish(end) if mine else self._give_up()
            await self._clock.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_S)
        # The row stays live and its heartbeat stops: a lease reaper will end it.
        return self._give_up()

    def _publish(self, end: RunEnd) -> None:
        self._telling.end(event_of(end.outcome, end.seq, self.run.message_id))
        self._telemetry.ended(self.run, end, self._pieces)

    def _give_up(self) -> None:
        self._telling.abandon()
        self._telemetry.lost(self.run)

    async def _save_last(self) -> None:
        """One try, for a process that is being torn down. What was decided stands: the store may have it already."""
        if self._telling.over:
            return
        end = self._decided = self._decided or self._end(self._cancelled(self._stopped or CancelReason.SHUTDOWN))
        try:
            mine = await self._execution_store.finish(end)
        except StoreUnavailable as error:
            self._telemetry.store_unavailable("the end of a run", error)
            mine = False
        if mine:
            self._publish(end)
        else:
            self._give_up()

    def _end(self, outcome: Outcome) -> RunEnd:
        content = self._telling.content()
        return RunEnd(
            run_id=self.run.id,
            epoch=self.run.epoch,
            outcome=outcome,
            content=content,
            finished_at=self._clock.now(),
            first_piece_ms=self._milliseconds_to(self._first_piece_at),
            duration_ms=self._milliseconds_to(self._clock.monotonic()),
            refused=self._refused and blank(content.text),
            upstream_status=self._failure.status if self._failure else None,
            cause=self._failure.cause if self._failure else None,
            tally=self._usage.tally,
        )

    # -- facts -----------------------------------------------------------------------------------------------------

    def _milliseconds_to(self, moment: float | None) -> int | None:
        return None if moment is None else round((moment - self.begun_at) * 1000)

    def _used(self) -> Usage | None:
        return self._usage.so_far(self._telling.content(), begun=self._telling.begun)
