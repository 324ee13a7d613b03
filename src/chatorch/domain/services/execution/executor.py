"""All runs that this process carries out: who watches them, what is saved of them, and how they stop."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, aclosing
from dataclasses import dataclass

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import RunId, Usage
from chatorch.domain.model.errors import Draining
from chatorch.domain.model.identity import Principal, UserId
from chatorch.domain.model.run import CancelReason, Run
from chatorch.domain.services.execution.checkpoints import Checkpoints
from chatorch.domain.services.execution.run_execution import RunExecution
from chatorch.domain.services.execution.telling import Telling
from chatorch.domain.services.execution.watchers import Watchers
from chatorch.ports.chat_model import ChatModel, Prompt
from chatorch.ports.execution_store import ExecutionStore
from chatorch.ports.run_control import RunControl
from chatorch.ports.run_log import RunLog
from chatorch.ports.system import Clock, Spawner
from chatorch.ports.telemetry import RunTelemetry

STOP_S = 1.5


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """`checkpoint_s`: how old the saved text of a live run may be. `grace_s`: how long one goes on unwatched.

    `max_answer_chars`: a longer answer is cut off and fails, since all of it is in memory and saved every second;
    `answer_cap` is what the operator calls that.
    """

    checkpoint_s: float = 1.0
    grace_s: float = 30.0
    max_answer_chars: int = 1_000_000
    answer_cap: str = "this server"


class Executor:
    """The live runs of this process. Leaving a run is not stopping it: that takes the grace, or an explicit stop."""

    def __init__(
        self,
        *,
        model: ChatModel,
        log: RunLog,
        execution_store: ExecutionStore,
        run_control: RunControl,
        clock: Clock,
        spawner: Spawner,
        telemetry: RunTelemetry,
        settings: ExecutorSettings,
    ) -> None:
        self._model = model
        self._log = log
        self._execution_store = execution_store
        self._run_control = run_control
        self._clock = clock
        self._spawner = spawner
        self._telemetry = telemetry
        self._settings = settings
        self._live: dict[RunId, RunExecution] = {}
        self._checkpoints = Checkpoints(self._live, execution_store=execution_store, clock=clock, telemetry=telemetry)
        self._less = asyncio.Event()
        self._watchers = Watchers(
            self._live, run_control=run_control, clock=clock, grace_s=settings.grace_s, left=self._less.set
        )
        self._opening = 0
        self.draining = False
        self._drained = False

    @property
    def live(self) -> int:
        """How many runs are in flight here."""
        return len(self._live)

    def __iter__(self) -> Iterator[RunExecution]:
        return iter(list(self._live.values()))

    def executes(self, run_id: RunId, owner_id: UserId | None = None) -> bool:
        """Whether this run is in flight here, and this owner's where one is named."""
        execution = self._live.get(run_id)
        return execution is not None and owner_id in (None, execution.run.owner_id)

    def opening(self) -> ExitStack:
        """Counts a run that is about to be stored, from now until the context ends: a drain waits for it to begin.

        Raises `Draining`.
        """
        if self.draining:
            raise Draining
        self._opening += 1
        opened = ExitStack()
        opened.callback(self._opened)
        return opened

    def _opened(self) -> None:
        self._opening -= 1
        self._less.set()

    def begin(
        self,
        run: Run,
        prompt: Prompt,
        principal: Principal,
        *,
        place: ExitStack | None = None,
        spent: Usage | None = None,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        """Starts to carry out a run that has just been stored, or taken over. `place` is closed when it is over here.

        `spent` and `answered` are `RunExecution`'s.
        """
        kept = prompt.turn.said if prompt.turn else Content()
        caps = self._settings
        execution = RunExecution(
            run,
            prompt,
            principal,
            telling=Telling(run, self._log, kept, max_chars=caps.max_answer_chars, answer_cap=caps.answer_cap),
            model=self._model,
            execution_store=self._execution_store,
            keep=self._checkpoints.save_now,
            clock=self._clock,
            telemetry=self._telemetry,
            spent=spent,
            answered=answered,
        )
        self._live[run.id] = execution
        self._watchers.expect(execution)
        if run.epoch == 1:
            self._telemetry.started(run)
        if self._drained:
            execution.stop(CancelReason.SHUTDOWN)
        self._spawner.spawn(self._carry_out(execution, place or ExitStack()), f"run {run.id}")

    async def _carry_out(self, execution: RunExecution, place: ExitStack) -> None:
        try:
            with place:
                await execution.carry_out()
        finally:
            self._live.pop(execution.run.id, None)
            self._watchers.forget(execution.run.id)

    def stop(self, run_id: RunId, reason: CancelReason) -> None:
        """Stops a run, closing its upstream connection. A no-op where it is not executed here."""
        if execution := self._live.get(run_id):
            execution.stop(reason)

    async def ended(self, run_id: RunId, timeout_s: float) -> None:
        """Waits until a run is over here, at most `timeout_s`."""
        if execution := self._live.get(run_id):
            try:
                async with asyncio.timeout(timeout_s):
                    await execution.ended()
            except TimeoutError:
                return

    def unsettled_for(self, run_id: RunId) -> float:
        """For how many seconds the end of a run has been waiting for the store; 0 where it is not."""
        execution = self._live.get(run_id)
        if execution is None or execution.finishing_since is None:
            return 0.0
        return self._clock.monotonic() - execution.finishing_since

    # -- watching --------------------------------------------------------------------------------------------------

    def watching(self, run_id: RunId) -> AbstractContextManager[None]:
        """See `Watchers.watching`."""
        return self._watchers.watching(run_id)

    async def keep_grace(self) -> None:
        """See `Watchers.keep_grace`."""
        await self._watchers.keep_grace()

    async def stop_unfollowed(self, run_id: RunId) -> None:
        """See `Watchers.stop_unfollowed`."""
        await self._watchers.stop_unfollowed(run_id)

    async def keep_cancelling(self) -> None:
        """For ever: stops what other processes say is cancelled."""
        async with aclosing(self._run_control.cancelled()) as cancelled:
            async for call in cancelled:
                if call.if_unfollowed:
                    await self.stop_unfollowed(call.run_id)
                else:
                    self.stop(call.run_id, CancelReason.USER)

    # -- saving ----------------------------------------------------------------------------------------------------

    async def keep_saved(self) -> None:
        """For ever: checkpoints all live runs, one transaction a round."""
        await self._checkpoints.keep_saved(self._settings.checkpoint_s)

    async def checkpoint(self) -> None:
        """See `Checkpoints.save`."""
        await self._checkpoints.save()

    def heartbeats_fail(self) -> bool:
        """Whether the store did not take the last ones of this process."""
        return self._checkpoints.fail

    # -- stopping --------------------------------------------------------------------------------------------------

    async def drain(self, limit_s: float) -> None:
        """Starts nothing new, lets live runs finish for `limit_s`, then cancels the rest as `shutdown`.

        Returns within `limit_s` and `STOP_S`, whatever the store does. Once done, a second time is nothing.
        """
        self.draining = True
        if self._drained:
            return
        await self._all_ended(limit_s)
        self._drained = True
        for execution in list(self._live.values()):
            execution.stop(CancelReason.SHUTDOWN)
        await self._all_ended(STOP_S)

    async def _all_ended(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while self._live or self._opening or self._watchers.elsewhere:
                    if self._live:
                        await next(iter(self._live.values())).ended()
                    else:
                        self._less.clear()
                        await self._less.wait()
                    await asyncio.sleep(0)
        except TimeoutError:
            return
