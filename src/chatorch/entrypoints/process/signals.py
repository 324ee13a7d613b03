"""Draining before the server stops.

On SIGTERM uvicorn closes its sockets first and tells the application last, after all streams have ended: too late to
refuse, to drain or to cancel anything. So the application takes the signal itself, drains, and then hands the signal
on to whoever had it before.
"""

import asyncio
import contextvars
import multiprocessing
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType

import structlog

from chatorch.entrypoints.process.stopping import would_end
from chatorch.ports.system import Clock

PARENT_CHECK_S = 1.0

log = structlog.get_logger(__name__)


async def leave_with_parent(clock: Clock) -> None:
    """Asks this process to stop when the one that started it, as one of several workers, is gone. Else for ever.

    Otherwise workers whose parent was killed would hold the port, and nobody would start, stop or count them.
    """
    parent = multiprocessing.parent_process()
    while parent is None or parent.is_alive():
        await clock.sleep(PARENT_CHECK_S)
    log.warning("parent_gone", parent_pid=parent.pid)
    signal.raise_signal(signal.SIGTERM)


class SignalDrain:
    """Calls `drain(limit_s)` once when the process is asked to stop, then lets the earlier handler act.

    SIGTERM gives live runs `limit_s` seconds, and so does SIGHUP, of a terminal that closes, where it would else end
    the process; it is passed on as SIGTERM. SIGINT, a person at the keyboard, gives them none; a second one is passed
    on at once.
    """

    def __init__(self, drain: Callable[[float], Awaitable[None]], limit_s: float) -> None:
        self._drain = drain
        self._limits = {signal.SIGTERM: limit_s, signal.SIGHUP: limit_s, signal.SIGINT: 0.0}
        self._saved: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Takes the signals over. A no-op outside the main thread, where Python delivers none."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._loop = asyncio.get_running_loop()
        for number in self._limits:
            if number != signal.SIGHUP or would_end(number):
                self._saved[number] = signal.signal(number, self._on_signal)

    def uninstall(self) -> None:
        """Gives the signals back. Needs no `install` before."""
        for number, handler in self._saved.items():
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, handler)
        self._saved.clear()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Whatever request it interrupts, the drain is not that one's, and its log lines must not name it."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin, number, context=contextvars.Context())

    def _begin(self, number: int) -> None:
        if self._task is None:
            self._task = asyncio.ensure_future(self._drain_and_pass_on(number))
        elif number == signal.SIGINT:
            self._pass_on(number)

    async def _drain_and_pass_on(self, number: int) -> None:
        name, limit_s = signal.Signals(number).name, self._limits[signal.Signals(number)]
        log.info("draining", signal=name, limit_s=limit_s)
        try:
            await self._drain(limit_s)
        finally:
            log.info("drained", signal=name)
            self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        self.uninstall()
        signal.raise_signal(signal.SIGTERM if number == signal.SIGHUP else number)
