"""Carrying on what a dead worker left.

A few at once: a provider must not be asked for all runs of a worker in the same moment. One has its place until the
model answers, or does not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chatorch.domain.model.calls import ids_in_turn, kept_content, open_calls
from chatorch.domain.model.context import ContextWindow
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.identity import CHAT_ALONE, Principal, User, UserId, is_guest
from chatorch.domain.model.run import CancelReason, LastContent, Run
from chatorch.domain.services.execution.executor import Executor
from chatorch.ports.chat_model import Prompt, Turn
from chatorch.ports.execution_store import ClaimedRun, ExecutionStore, LiveRun
from chatorch.ports.run_control import RunControl
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import RunTelemetry
from chatorch.ports.users import UserStore

MOST = 2
"""Of one run. What ends every worker that takes it ends no more of them than that."""
WHAT = "a takeover"
CLAIMED_AT_ONCE = 10
"""In one transaction: heartbeats go in between."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TakeoverLimits:
    """A run is carried on whose last heartbeat is at most `within_s` seconds old (0: none is), `at_once` at a time."""

    within_s: float = 300.0
    at_once: int = 20


class Takeovers:
    """`confirm_lock` is as in `LeaseReaper`."""

    def __init__(
        self,
        *,
        execution_store: ExecutionStore,
        users: UserStore,
        run_control: RunControl,
        executor: Executor,
        context: ContextWindow,
        clock: Clock,
        telemetry: RunTelemetry,
        limits: TakeoverLimits,
        confirm_lock: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._execution_store = execution_store
        self._users = users
        self._run_control = run_control
        self._executor = executor
        self._context = context
        self._clock = clock
        self._telemetry = telemetry
        self._limits = limits
        self._confirm_lock = confirm_lock
        self._waiting: dict[RunId, LiveRun] = {}
        self._unreadable: set[RunId] = set()
        self._taken = 0
        self._news = asyncio.Event()

    def may_take(self, run: LiveRun) -> bool:
        """Nobody could come back to a guest's. One that was young enough when it was offered does not grow too old by
        having to wait. One that its user stopped is only ended: its age does not matter, and once more does no harm."""
        if is_guest(run.owner_id) or run.run_id in self._unreadable:
            return False
        if run.cancel_requested:
            return run.epoch <= MOST + 1
        if run.epoch > MOST or not self._limits.within_s:
            return False
        if self._waiting.get(run.run_id) == run:
            return True
        seen_at = run.beat_at or run.created_at
        return seen_at is not None and self._clock.now() - seen_at <= timedelta(seconds=self._limits.within_s)

    def offer(self, runs: Iterable[LiveRun]) -> None:
        """Runs of which it is known that nobody executes them any more, and that `may_take` lets through."""
        self._waiting |= {run.run_id: run for run in runs}
        self._news.set()

    async def keep_taking(self) -> None:
        """For ever: takes over what it is offered, the oldest first. What cannot be had now is offered again."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self.take()
            except StoreUnavailable as error:
                self._telemetry.store_unavailable(WHAT, error)
            except Exception as error:  # what else is offered must be taken
                self._telemetry.failed(WHAT, error)

    async def take(self) -> None:
        """As many as there is room for. Raises `StoreUnavailable`."""
        while batch := self._next():
            contents = await self._run_control.last_content([run.run_id for run in batch])
            owners = await self._users.by_ids({run.owner_id for run in batch})
            if self._confirm_lock is not None:
                await self._confirm_lock()
            if self._executor.draining:
                return
            with self._executor.opening():  # what was claimed begins, or nobody would carry it on for a lease
                await self._claim(batch, contents, owners)

    async def _claim(
        self, batch: Sequence[LiveRun], contents: Mapping[RunId, LastContent], owners: Mapping[UserId, User]
    ) -> None:
        """One that cannot be read, which another release may have written, must not keep others from being taken."""
        try:
            claimed = await self._execution_store.claim(
                batch, self._clock.now(), contents, history_chars=self._context.max_chars
            )
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(batch) == 1:
                self._telemetry.failed(WHAT, error)
                self._unreadable.add(batch[0].run_id)
            else:
                for run in batch:
                    await self._claim([run], contents, owners)
            return
        for each in claimed:
            self._carry_on(each, owners.get(each.run.owner_id))

    def _next(self) -> list[LiveRun]:
        """They are forgotten: whoever offered them will do so again where it comes to nothing."""
        if self._executor.draining:
            return []
        waiting = [run for run in self._waiting.values() if not self._executor.executes(run.run_id)]
        stopped = [run for run in waiting if run.cancel_requested]
        others = sorted((run for run in waiting if not run.cancel_requested), key=_age)
        batch = [*stopped, *others[: self._limits.at_once - self._taken]][:CLAIMED_AT_ONCE]
        taken = {run.run_id for run in batch}
        self._waiting = {run.run_id: run for run in waiting if run.run_id not in taken}
        return batch

    def _carry_on(self, claimed: ClaimedRun, owner: User | None) -> None:
        """To its end at once where its user has stopped it: then nobody is asked for anything."""
        run = claimed.run
        # Others of its followers, and its executor, should it still live, are told that it is somebody else's now.
        self._run_control.fence(run.id, run.epoch - 1)
        messages = self._context.select(claimed.history, run.generation.instructions)
        begun_s = max((self._clock.now() - run.created_at).total_seconds(), 0.0)
        principal = _principal(run, owner)
        said = kept_content(run.content, claimed.kept)
        calls = tuple(open_calls(claimed.history))
        ids = ids_in_turn(claimed.history)
        turn = Turn(principal, run.thread_id, run.id, calls, said, begun=claimed.kept > 0, call_ids=ids)
        prompt = Prompt(run.model, messages, run.owner_id, run.generation, begun_s, turn=turn)
        if claimed.cancel_requested:
            self._executor.begin(run, prompt, principal, spent=claimed.spent)
            self._executor.stop(run.id, CancelReason.USER)
            return
        place = ExitStack()
        place.callback(self._leave)
        self._taken += 1
        self._telemetry.taken_over(run)
        self._executor.begin(run, prompt, principal, spent=claimed.spent, answered=place.close)

    def _leave(self) -> None:
        self._taken -= 1
        self._news.set()


def _principal(run: Run, owner: User | None) -> Principal:
    """Of what the credential allowed, what its user still has. Who has no account, or one that was shut out meanwhile,
    has no tools."""
    if owner is None or owner.disabled:
        return Principal(run.owner_id, owner.username if owner else "", CHAT_ALONE, tools=())
    scopes = run.scopes & owner.scopes
    return Principal(run.owner_id, owner.username, scopes, generation=owner.generation, tools=owner.tools)


def _age(run: LiveRun) -> tuple[datetime, RunId]:
    """The oldest first."""
    return run.created_at or LONG_AGO, run.run_id
