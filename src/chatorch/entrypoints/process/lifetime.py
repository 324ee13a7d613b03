"""What happens around the requests: the store is claimed and made ready, dead runs are ended, live ones are kept."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import structlog

from chatorch.domain.services.execution.executor import Executor
from chatorch.domain.services.execution.lease_reaper import LeaseReaper
from chatorch.entrypoints.process.signals import SignalDrain

CLOSE_S = 1.0

log = structlog.get_logger(__name__)


class Closing(Protocol):
    async def aclose(self) -> None: ...


class Component(Protocol):
    async def start(self) -> None: ...
    async def aclose(self) -> None: ...


class Database(Protocol):
    async def start(self) -> None: ...
    async def close(self) -> None: ...
    def in_use(self) -> int: ...
    def size(self) -> int: ...


class Figures(Protocol):
    def look_up(
        self, *, live_runs: Callable[[], int], pool_in_use: Callable[[], int], pool_size: Callable[[], int]
    ) -> None:
        """Where the figures of now are."""
        ...


class StoreLock(Protocol):
    shared: bool

    async def acquire(self) -> None: ...
    async def confirm(self) -> None: ...
    async def taken(self) -> None: ...
    async def release(self) -> None: ...


async def lifetime(
    *,
    store_lock: StoreLock | None,
    database: Database,
    lease_reaper: LeaseReaper,
    executor: Executor,
    metrics: Figures,
    loops: list[Callable[[], Coroutine[Any, Any, None]]],
    components: Sequence[Component],
    closing: list[Closing],
    drain_limit_s: float,
) -> AsyncIterator[None]:
    """Everything that lives as long as the process.

    `loops` go on for ever beside the requests. Where the store is shared with other processes, only leases decide which
    runs are dead. `closing` is closed in the order given, after the last run has ended, then `components` from the last
    one to the first, then the database.
    """
    async with _claimed(store_lock):
        try:
            for component in components:
                await component.start()
            await database.start()
            metrics.look_up(live_runs=lambda: executor.live, pool_in_use=database.in_use, pool_size=database.size)
            if store_lock is not None and not store_lock.shared:
                await lease_reaper.end_all()
            leaving = [] if store_lock is None else [_leave_when_taken(store_lock)]
            async with _running([*leaving, *(loop() for loop in loops)]):
                signals = SignalDrain(executor.drain, drain_limit_s)
                signals.install()
                try:
                    log.info("serving", pid=os.getpid())
                    yield
                finally:
                    await executor.drain(drain_limit_s)
                    signals.uninstall()
        finally:
            for thing in (*closing, *reversed(components)):
                await thing.aclose()
            await _within(CLOSE_S, database.close())


async def _within(seconds: float, closing: Coroutine[Any, Any, None]) -> None:
    """A store that hangs must not keep the process: what was acknowledged is in it already."""
    try:
        async with asyncio.timeout(seconds):
            await closing
    except TimeoutError:
        log.warning("store_not_closed", reason="it did not answer in time")


@asynccontextmanager
async def _claimed(store_lock: StoreLock | None) -> AsyncIterator[None]:
    if store_lock is None:
        yield
        return
    await store_lock.acquire()
    try:
        yield
    finally:
        await store_lock.release()


async def _leave_when_taken(store_lock: StoreLock) -> None:
    """Asks this process to stop when another one works alone on the store, as this one did."""
    await store_lock.taken()
    log.error("store_taken", problem="another process uses the database alone, so this one stops")
    signal.raise_signal(signal.SIGTERM)


@asynccontextmanager
async def _running(loops: Sequence[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
