"""Runs, as their users see them: start, retry, read, follow, answer, cancel."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, replace

from chatorch.domain.model.context import ContextWindow
from chatorch.domain.model.conversation import MessageId, NewMessage, Role, RunId, ThreadId, title_from
from chatorch.domain.model.errors import NotFound, RunUnsettled, StoreUnavailable
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.live import ClientId, RunBegan
from chatorch.domain.model.policy import ChatPolicy, require_no_guest_thread, require_own_label
from chatorch.domain.model.run import (
    SILENCE,
    STORE_AWAY,
    TAKEOVER_GAP,
    TERMINAL_EVENTS,
    CancelReason,
    MessageDelta,
    MessageSnapshot,
    Run,
    RunCancelled,
    RunEvent,
    RunStatus,
    Silence,
    TerminalEvent,
    position_after,
    replay,
    started_event,
)
from chatorch.domain.services.commands import RetryChat, StartChat
from chatorch.domain.services.executions import Executions
from chatorch.ports.chat_model import Prompt
from chatorch.ports.connections import Connections
from chatorch.ports.run_log import RunLog
from chatorch.ports.run_relay import RunRelay
from chatorch.ports.runs import IdempotencyKey, NewRun, OpenedRun, OpenTurn, RunStore
from chatorch.ports.system import Clock, IdFactory

POLL_S = 1.0
UNSETTLED_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A run that was waited for: all its text, and how it ended."""

    run: Run
    text: str
    terminal: TerminalEvent


class Runs:
    """Everything that can be done with a run. What belongs to somebody else is `NotFound`."""

    def __init__(
        self,
        *,
        store: RunStore,
        log: RunLog,
        relay: RunRelay,
        connections: Connections,
        executions: Executions,
        clock: Clock,
        ids: IdFactory,
        policy: ChatPolicy,
        context: ContextWindow,
        max_live_runs: int,
    ) -> None:
        self._store = store
        self._log = log
        self._relay = relay
        self._connections = connections
        self._executions = executions
        self._clock = clock
        self._ids = ids
        self._policy = policy
        self._context = context
        self._max_live_runs = max_live_runs

    # -- opening ---------------------------------------------------------------------------------------------------

    async def start(self, principal: Principal, chat: StartChat) -> Run:
        """Stores the messages and a run, starts to carry it out, and returns. From here on nothing is lost.

        The same idempotency key again returns the run that it opened; a guest is never the same again. Raises
        `InvalidField`, `RoleNotAllowed`, `ModelNotAllowed`, `UserMismatch`, `GuestThread`, `NotFound`, `ThreadBusy`,
        `TooManyRuns`, `IdempotencyKeyReused`, `Draining`, `StoreUnavailable`.
        """
        require_own_label(principal, chat.user_label)
        require_no_guest_thread(principal, chat.thread_id)
        self._policy.check_messages(chat.messages, opens_thread=chat.thread_id is None)
        new = self._new_run(principal, chat.model, chat.idempotency)
        if principal.guest:
            new = replace(new, guest_label=chat.user_label)
        turn = OpenTurn(
            thread_id=chat.thread_id or ThreadId(self._ids.new("thr")),
            title=None if chat.thread_id else _title(chat.messages),
            messages=tuple((MessageId(self._ids.new("msg")), message) for message in chat.messages),
        )
        return await self._open(principal, lambda: self._store.open_run(new, turn), chat.client_id)

    async def retry(self, principal: Principal, retry: RetryChat) -> Run:
        """A new run for the user message that `retry.run_id` answered. Raises like `start`, and `RunSuperseded`.

        Without a model of its own it takes the earlier run's, if that is still allowed.
        """
        earlier = await self._store.read_run(principal.user_id, retry.run_id)
        wanted = retry.model or (earlier.model if self._policy.allows(earlier.model) else None)
        new = self._new_run(principal, wanted, retry.idempotency)
        return await self._open(principal, lambda: self._store.reopen_run(new, retry.run_id))

    def _new_run(self, principal: Principal, model: str | None, idempotency: IdempotencyKey | None) -> NewRun:
        return NewRun(
            run_id=RunId(self._ids.new("run")),
            message_id=MessageId(self._ids.new("msg")),
            owner_id=principal.user_id,
            model=self._policy.model_for(model),
            now=self._clock.now(),
            max_live=self._max_live_runs,
            history_chars=self._context.max_chars,
            idempotency=None if principal.guest else idempotency,
        )

    async def _open(
        self, principal: Principal, store: Callable[[], Awaitable[OpenedRun]], client_id: ClientId | None = None
    ) -> Run:
        """Shielded: a caller that goes away between the commit and the start must not leave a run nobody executes."""
        opening = self._executions.opening(guest=principal.guest)
        return await asyncio.shield(self._open_and_begin(principal, store, client_id, opening))

    async def _open_and_begin(
        self,
        principal: Principal,
        store: Callable[[], Awaitable[OpenedRun]],
        client_id: ClientId | None,
        opening: ExitStack,
    ) -> Run:
        with opening:
            opened = await store()
            if not opened.joined:
                run = opened.run
                prompt = Prompt(run.model, self._context.select(opened.history), principal.user_id)
                self._executions.begin(run, prompt, guest=principal.guest)
                self._connections.send(run.owner_id, RunBegan(run.id, started_event(run)), besides=client_id)
        return opened.run

    # -- reading ---------------------------------------------------------------------------------------------------

    async def read(self, principal: Principal, run_id: RunId) -> Run:
        """The run with its text so far. Raises `NotFound`, `StoreUnavailable`."""
        executed_here = self._executions.executes(run_id)
        run = await self._store.read_run(principal.user_id, run_id)
        if executed_here and run.status.live and not self._executions.executes(run_id):
            # It ended while its row was read.
            run = await self._store.read_run(principal.user_id, run_id)
        text = self._log.text(run_id) if run.status.live else None
        if text and len(text) > len(run.text):  # a copy of another process's may have fallen behind its row
            return replace(run, status=RunStatus.STREAMING, text=text, seq=position_after(text))
        return run

    async def cancel(self, principal: Principal, run_id: RunId) -> None:
        """Stops a run wherever it is executed; no effect on one that has ended. Raises `NotFound`.

        One that is executed here is stopped even while the store is away.
        """
        if self._executions.executes(run_id, principal.user_id):
            self._executions.stop(run_id, CancelReason.USER)
            return
        run = await self._store.request_cancel(principal.user_id, run_id)
        if run.status.live:
            self._executions.stop(run_id, CancelReason.USER)
            self._relay.cancel(run_id)

    async def answer(self, run: Run) -> Answer:
        """Waits for the end. Raises `RunUnsettled` when the store does not take it for 10 s."""
        parts: list[str] = []
        away_since: float | None = None
        events = self.events(run)
        try:
            async for event in events:
                match event:
                    case MessageDelta():
                        parts.append(event.text)
                    case MessageSnapshot():
                        parts = [event.text]
                    case Silence():
                        now = self._clock.monotonic()
                        away_since = (away_since or now) if event is STORE_AWAY else None
                        unsettled = self._executions.unsettled_for(run.id)
                        if max(unsettled, now - (away_since or now)) >= UNSETTLED_S:
                            raise RunUnsettled(run.id)
                    case _ if isinstance(event, TERMINAL_EVENTS):
                        return Answer(run, "".join(parts), event)
        finally:
            await events.aclose()
        raise RuntimeError("a run's events ended without a terminal one")

    # -- following -------------------------------------------------------------------------------------------------

    def events(self, run: Run, after: int = 0) -> AsyncGenerator[RunEvent | Silence]:
        """What comes after position `after`: replay, then live, until the terminal event. No gap, no repeat.

        `run` is one that `start` or `read` returned, so the caller may see it. `SILENCE` stands for two seconds
        without an event. Raises nothing once it has begun: a store that is away is silence.
        """
        return self._live_events(run, after) if run.status.live else _stored_events(run, after)

    async def _live_events(self, run: Run, position: int) -> AsyncGenerator[RunEvent | Silence]:
        with self._executions.watching(run.id):
            while True:
                async with aclosing(self._log.follow(run.id, position)) as live:
                    async for event in live:
                        if type(event) is MessageDelta:  # first, because it is nearly always one
                            yield event
                            position = event.seq
                            continue
                        if isinstance(event, Silence):
                            if await self._ended_elsewhere(run):
                                break
                            yield event
                            continue
                        yield event
                        position = event.seq
                        if isinstance(event, TERMINAL_EVENTS):
                            return
                # What the row says is all there is for now; then the log is asked again, which may have come back.
                told, over = await self._told_by_row(run, position)
                for stored in told:
                    yield stored
                    position = stored.seq
                if over:
                    return
                yield SILENCE if over is False else STORE_AWAY
                await self._clock.sleep(POLL_S)

    async def _told_by_row(self, run: Run, position: int) -> tuple[Iterable[RunEvent], bool | None]:
        """What it says beyond a position, and whether that is all there will ever be; None: the store is away."""
        try:
            row = await self._store.read_run(run.owner_id, run.id)
        except NotFound:
            return [RunCancelled(position + 1 + TAKEOVER_GAP, CancelReason.USER)], True
        except StoreUnavailable:
            return [], None
        return replay(row, position), not row.status.live

    async def _ended_elsewhere(self, run: Run) -> bool:
        if self._executions.executes(run.id):
            return False  # if somebody else ended it, the checkpoints hear of that
        try:
            return not (await self._store.read_run(run.owner_id, run.id)).status.live
        except NotFound:
            return True
        except StoreUnavailable:
            return False


def _title(messages: tuple[NewMessage, ...]) -> str:
    return title_from(next(message.content for message in messages if message.role is Role.USER))


async def _stored_events(run: Run, position: int) -> AsyncGenerator[RunEvent | Silence]:
    for event in replay(run, position):
        yield event
