"""One process of several that serve one port, seen from both ends: what it does, and what its parent knows of it."""

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Self

import structlog
import uvicorn

from chatorch.entrypoints.process.metric_files import Share
from chatorch.entrypoints.process.stoppable import StoppableServer

TICKS_A_BEAT = 10
"""uvicorn ticks ten times a second."""
LOOK_S = 5.0
BEGIN_S = 0.3
"""For a request to come over a connection that was just taken."""

log = structlog.get_logger(__name__)
spawn = multiprocessing.get_context("spawn")


class Worker:
    """A process that serves on `listener`, and gives a sign of life each second from when it does."""

    def __init__(self, process: SpawnProcess, life: asyncio.StreamReader) -> None:
        self._process = process
        self._life = life

    @classmethod
    async def start(cls, config: uvicorn.Config, listener: socket.socket, counting: Share | None) -> Self:
        """Raises `OSError` where the machine has no room for another process."""
        told, tell = spawn.Pipe(duplex=False)
        life = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(life), told)
        process = spawn.Process(target=_serve, args=(config, listener, counting, tell), daemon=True)
        resource_tracker.ensure_running()  # else `start` does so, and unblocks what is blocked here
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))  # inherited, for as long as it imports
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            tell.close()
        return cls(process, life)

    @property
    def pid(self) -> int | None:
        return self._process.pid

    async def lives(self, within_s: float) -> bool:
        """Waits for the next sign of life. False when it is gone; one that gives none within `within_s` is killed.

        Time is counted in looks, because it passes for a parent that was itself stopped, too.
        """
        for _ in range(max(1, round(within_s / LOOK_S))):
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    return bool(await self._life.read(4096))
        log.error("worker_hangs", pid=self.pid, silent_s=within_s)
        self.kill()
        return False

    def ask_to_end(self, number: signal.Signals) -> None:
        """With SIGTERM or SIGINT, or SIGHUP where others serve on.

        One that does not serve yet knows no SIGINT; to others a second signal is nothing.
        """
        for each in dict.fromkeys((number, signal.SIGTERM)) if number == signal.SIGINT else (number,):
            if self._process.exitcode is None and self.pid is not None:
                os.kill(self.pid, each)

    async def ended(self, within_s: float | None = None) -> int | None:
        """Waits until it is gone, and returns its exit status; kills it after `within_s`."""
        try:
            async with asyncio.timeout(within_s):
                while await self._life.read(4096):
                    pass
        except TimeoutError:
            log.warning("worker_killed", pid=self.pid, reason="it did not end in time")
            self.kill()
        self._process.join()
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()


class _Server(StoppableServer):
    """Shows the parent that its loop turns. On SIGHUP it takes no more connections, which come to the others then, and
    stops as on SIGTERM when those have begun that it has taken already."""

    def __init__(self, config: uvicorn.Config, parent: Connection) -> None:
        super().__init__(config)
        self._parent = parent

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._leave_to_others)

    def _leave_to_others(self) -> None:
        for server in self.servers:
            server.close()
        asyncio.get_running_loop().call_later(BEGIN_S, signal.raise_signal, signal.SIGTERM)

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_A_BEAT == 0:
            with suppress(OSError):  # a parent that is gone or stopped reads nothing
                os.write(self._parent.fileno(), b".")
        return await super().on_tick(counter)


def _serve(config: uvicorn.Config, listener: socket.socket, counting: Share | None, parent: Connection) -> None:
    """What the process does. Ctrl-C is for the parent, so it leaves the terminal's group."""
    gc.disable()  # while it imports; the application enables it
    os.setpgrp()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one that came meanwhile is dropped
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    os.set_blocking(parent.fileno(), False)
    if counting is not None:
        counting.use()
    _Server(config, parent).run([listener])
