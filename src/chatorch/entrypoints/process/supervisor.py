"""Several processes on one port, and the parent that keeps them: `chatorch serve --workers N`.

Not uvicorn's own: that one is deaf to signals for as long as it waits for a worker that hangs, and ends the service
when a worker that died cannot start again at once.
"""

import asyncio
import signal
import socket

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from chatorch.entrypoints.process.metric_files import MetricFiles, Share
from chatorch.entrypoints.process.worker import Worker

START_S = 600.0
"""The first one may have to bring the database up to date."""
HANG_S = 30.0
PAUSE_S = 0.5
MAX_PAUSE_S = 10.0
AFTER_DRAIN_S = 1.6

log = structlog.get_logger(__name__)


class Workers:
    """Keeps as many workers serving on `listener` as `config` says, until a signal ends them.

    SIGTERM lets them drain for `drain_limit_s`, SIGINT for no time, and a second SIGINT kills them, as does the end of
    the time that they have. SIGHUP renews them one by one, each when its successor serves.
    """

    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, metrics: MetricFiles, drain_limit_s: float
    ) -> None:
        self._config = config
        self._listener = listener
        self._metrics = metrics
        self._end_s = drain_limit_s + AFTER_DRAIN_S
        self._group = asyncio.TaskGroup()
        self._places: set[asyncio.Task[None]] = set()
        self._alive: set[Worker] = set()
        self._served = False
        self._asked: signal.Signals | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Returns the exit status when all have ended: `STARTUP_FAILURE` where the first could not even start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._renew)
        async with self._group:
            self._open()  # the others follow when it serves: what stops one stops all, and is told once
        return 0 if self._served or self._asked else STARTUP_FAILURE

    def _open(self) -> asyncio.Event:
        """Another place for a worker. Returns what is set when one serves there."""
        serves = asyncio.Event()
        place = self._group.create_task(self._keep(serves))
        self._places.add(place)
        place.add_done_callback(self._places.discard)
        return serves

    async def _keep(self, serves: asyncio.Event) -> None:
        """A worker, and another one whenever it ends; after a pause that grows where it could not even start."""
        pause_s = PAUSE_S
        while True:
            with self._metrics.share() as counting:
                served = await self._one(serves, counting)
            if served:
                pause_s = PAUSE_S
            elif self._served:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, MAX_PAUSE_S)
            else:
                return

    async def _one(self, serves: asyncio.Event, counting: Share | None) -> bool:
        """A worker from its start to its end. Returns whether it served."""
        try:
            worker = await Worker.start(self._config, self._listener, counting)
        except OSError:
            log.exception("worker_not_started")
            return False
        self._alive.add(worker)
        try:
            if served := await worker.lives(START_S):
                self._now_serves(serves)
                while await worker.lives(HANG_S):
                    pass
            status = await worker.ended()
        except asyncio.CancelledError:
            worker.ask_to_end(self._asked or signal.SIGHUP)
            await worker.ended(self._end_s)
            raise
        finally:
            self._alive.discard(worker)
        if self._served or status != STARTUP_FAILURE:  # of which it has said why
            log.error("worker_died" if served else "worker_not_started", pid=worker.pid, exit_status=status)
        return served

    def _now_serves(self, serves: asyncio.Event) -> None:
        serves.set()
        if not self._served:
            self._served = True
            for _ in range(1, self._config.workers):
                self._open()

    def _stop(self, number: signal.Signals) -> None:
        if self._asked is None:
            self._asked = number
            log.info("stopping", signal=number.name)
            for task in (*self._places, *filter(None, (self._renewing,))):
                if not task.cancelling():
                    task.cancel()
        elif number == signal.SIGINT:
            for worker in self._alive:
                worker.kill()

    def _renew(self) -> None:
        if self._served and self._asked is None and (self._renewing is None or self._renewing.done()):
            log.info("renewing_workers")
            self._renewing = asyncio.create_task(self._renew_all())

    async def _renew_all(self) -> None:
        for place in tuple(self._places):
            await self._open().wait()
            place.cancel()
            await asyncio.wait({place})
