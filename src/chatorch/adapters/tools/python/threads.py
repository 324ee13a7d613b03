"""A bounded number of threads for functions that block. None of them is waited for when the process ends.

`ThreadPoolExecutor` is not this: the interpreter waits for its threads, and one that hangs would keep it for ever; and
its queue keeps what nobody waits for any more.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import structlog

from chatorch.ports.tools import ToolError

log = structlog.get_logger(__name__)

Outcome = tuple[Any, BaseException | None]
"""What a function returned, or what it raised. Not as a future has it, which refuses `StopIteration`."""


class Job:
    """What occupies a thread. `name` is the tool's."""

    __slots__ = ("ended", "name")

    def __init__(self, name: str, ended: "asyncio.Future[Outcome]") -> None:
        self.name = name
        self.ended = ended


class Threads:
    """Used from one event loop. A thread is started when it is needed first, and then kept."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError("at least one thread")
        self._limit = limit
        self._free = asyncio.Semaphore(limit)
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._started = 0
        self._busy = 0
        self._waiting = 0
        self._given_up: set[Job] = set()
        self._told = False

    async def start(self, name: str, work: Callable[[], Any]) -> Job:
        """Waits for a thread, and returns when it has the work. Who is cancelled until then has started nothing.

        Raises `ToolError` where the system has no more threads.
        """
        await self._place()
        loop = asyncio.get_running_loop()
        try:
            self._require_thread()
        except RuntimeError as error:
            self._free.release()
            raise ToolError("The tool could not be started.") from error
        self._busy += 1
        job = Job(name, loop.create_future())

        def worked() -> None:
            outcome = _outcome(work)
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._done, job, outcome)

        self._work.put(worked)
        return job

    def give_up(self, job: Job) -> None:
        """Nobody waits for it any more. It cannot be stopped, and has its thread until it is done by itself."""
        self._given_up.add(job)
        self._tell()

    def close(self) -> None:
        """Threads that do nothing end, and so do others when they are done."""
        for _ in range(self._started):
            self._work.put(None)

    def _done(self, job: Job, outcome: Outcome) -> None:
        if not job.ended.done():
            job.ended.set_result(outcome)
        if job in self._given_up:
            self._given_up.remove(job)
            self._told = False
        self._busy -= 1
        self._free.release()

    async def _place(self) -> None:
        self._waiting += 1
        try:
            self._tell()
            await self._free.acquire()
        finally:
            self._waiting -= 1

    def _tell(self) -> None:
        """Once, where a call waits for nothing but calls that nobody waits for."""
        if self._waiting and len(self._given_up) == self._limit and not self._told:
            self._told = True
            tools = sorted({each.name for each in self._given_up})
            log.error("tool_threads_exhausted", threads=self._limit, tools=tools)

    def _require_thread(self) -> None:
        """Those that are not busy are waiting for work, or about to."""
        if self._busy == self._started:
            threading.Thread(target=self._serve, name=f"tool-{self._started}", daemon=True).start()
            self._started += 1

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # and all that it holds, while there is nothing to do


def _outcome(work: Callable[[], Any]) -> Outcome:
    try:
        return work(), None
    except BaseException as error:
        return None, error
