"""The one thread that writes to SQLite, and what it does with those that wait for it: it commits them together.

A commit costs a write to the disk that everybody waits for. Under load many transactions are waiting while one is
being committed; they then share the next commit, each behind a savepoint of its own, so that one that fails takes
nothing with it. Nobody is answered before the commit that holds what he wrote.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from chatorch.adapters.sql.errors import is_outage, outages_translated
from chatorch.domain.model.errors import StoreUnavailable

MAX_TOGETHER = 64

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Waiting:
    work: Callable[[Connection], Any]
    answer: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


class Writer:
    """Runs transactions one after the other. `engine` begins them, and has the connection for one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._queue: deque[_Waiting] = deque()
        self._running: asyncio.Task[None] | None = None
        self._closed = False

    async def run(self, work: Callable[[Connection], T], *, first: bool = False) -> T:
        """Raises what `work` raises, and `StoreUnavailable`. Cancelled before its turn, it never runs.

        `first`: before all that waits already.
        """
        if self._closed:
            raise StoreUnavailable
        loop = asyncio.get_running_loop()
        waiting = _Waiting(work, loop.create_future())
        if first:
            self._queue.appendleft(waiting)
        else:
            self._queue.append(waiting)
        if self._running is None:
            self._running = loop.create_task(self._work_off(loop), name="sqlite-writer")
        with outages_translated():
            result: T = await waiting.answer
        return result

    def in_use(self) -> int:
        return 0 if self._running is None else 1

    async def close(self) -> None:
        """Waits until all that was taken on is committed. Nothing is taken on afterwards."""
        self._closed = True
        if self._running is not None:
            await self._running
        await asyncio.to_thread(self._thread.shutdown)
        self._engine.dispose()

    async def _work_off(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while self._queue:
                together = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_TOGETHER))]
                together = [waiting for waiting in together if not waiting.answer.done()]
                if together:
                    await self._commit(loop, together)
        finally:
            self._running = None

    async def _commit(self, loop: asyncio.AbstractEventLoop, together: list[_Waiting]) -> None:
        try:
            await loop.run_in_executor(self._thread, _transact, self._engine, together)
        except Exception as error:  # nothing of it was committed
            if is_outage(error):
                # Who waits behind would wait as long again, and for the same.
                together.extend(self._queue)
                self._queue.clear()
            for waiting in together:
                waiting.error = error
        for waiting in together:
            if waiting.answer.done():
                continue
            if waiting.error is not None:
                waiting.answer.set_exception(waiting.error)
            else:
                waiting.answer.set_result(waiting.result)


def _transact(engine: Engine, together: Sequence[_Waiting]) -> None:
    with engine.begin() as connection:
        if len(together) == 1:
            together[0].result = together[0].work(connection)
            return
        driver: Any = connection.connection.driver_connection
        for waiting in together:
            driver.execute("SAVEPOINT one")
            try:
                waiting.result = waiting.work(connection)
            except Exception as error:
                if not driver.in_transaction:
                    # SQLite gave up all of it (a full disk, say: https://sqlite.org/lang_transaction.html, 2.1).
                    raise
                waiting.error = error
                driver.execute("ROLLBACK TO one")
            driver.execute("RELEASE one")
