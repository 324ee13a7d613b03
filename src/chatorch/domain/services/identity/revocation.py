"""Ending what goes on with a credential that no longer counts: streams, requests that wait for an answer, and runs.

Each process looks at those that it has itself, so a run ends where it is executed and a stream where it is written.
What the store says of their users decides, and the verifier of a credential that can be revoked by itself; what they do
not say, while they are away, ends nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from chatorch.domain.model.errors import InvalidToken, StoreUnavailable
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.run import CancelReason
from chatorch.domain.services.execution.executor import Executor
from chatorch.domain.services.identity.identify import Identify
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import RunTelemetry

CHECK_S = 2.0
WHAT = "the search for users who lost their access"


@dataclass(frozen=True, slots=True, eq=False)
class _Stay:
    principal: Principal
    end: Callable[[], object]


class Revocation:
    """A look takes one query, however many streams and runs there are. A guest has no token that could be revoked."""

    def __init__(self, *, identify: Identify, executor: Executor, clock: Clock, telemetry: RunTelemetry) -> None:
        self._identify = identify
        self._executor = executor
        self._clock = clock
        self._telemetry = telemetry
        self._stays: set[_Stay] = set()

    @contextmanager
    def ending(self, principal: Principal, end: Callable[[], object]) -> Iterator[None]:
        """While it lasts, `end` is called once the principal's token counts no more; perhaps several times."""
        if principal.guest:
            yield
            return
        stay = _Stay(principal, end)
        self._stays.add(stay)
        try:
            yield
        finally:
            self._stays.discard(stay)

    @asynccontextmanager
    async def unless_revoked(self, principal: Principal) -> AsyncIterator[None]:
        """Cancels what is inside when the principal's token counts no more, and raises `InvalidToken` in its place."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as scope:
                with self.ending(principal, lambda: None if scope.expired() else scope.reschedule(loop.time())):
                    yield
        except TimeoutError:
            if scope.expired():
                raise InvalidToken from None
            raise

    async def keep_watch(self) -> None:
        """For ever: looks every two seconds."""
        while True:
            await self._clock.sleep(CHECK_S)
            try:
                await self.check()
            except StoreUnavailable as error:
                self._telemetry.store_unavailable(WHAT, error)
            except Exception as error:  # the next look must come
                self._telemetry.failed(WHAT, error)

    async def check(self) -> None:
        """Ends all of those whose token counts no more, and their runs as cancelled by their user.

        Streams first: who is sent away need not hear how the run ended. Raises `StoreUnavailable`.
        """
        stays = list(self._stays)
        runs = [(execution.run, execution.principal) for execution in self._executor if not execution.principal.guest]
        held = {stay.principal for stay in stays} | {principal for _, principal in runs}
        if not held:
            return
        out = await self._identify.shut_out(held)
        for stay in stays:
            if stay.principal in out and stay in self._stays:
                stay.end()
        for run, principal in runs:
            if principal in out:
                self._executor.stop(run.id, CancelReason.USER)
