"""Several workers behind one listening socket, kept at their number until a signal ends them.

uvicorn's own supervisor looks twice a second and waits for each worker's answer in turn, so one that hangs makes it
deaf, and it gives up all of them when one cannot start again. This one waits for whatever comes first.
"""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection

import structlog
import uvicorn
from uvicorn.supervisors.multiprocess import Process

LOOK_S = 0.2
PING_S = 1.0
HUNG_S = 30.0
BACKOFF_S = 0.5
MAX_BACKOFF_S = 10.0
AFTER_DRAIN_S = 1.2
STOPPING = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger(__name__)


class Worker(Process):
    """One process. It answers a ping with whether it serves, from a thread of its own."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config, [listener])
        self.serving = False
        self._asked_at: float | None = None
        self._ask_at = 0.0

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        os.setpgrp()  # Ctrl-C reaches the parent alone, which passes it on: a second one means "at once"
        super().target(sockets)

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def look(self, now: float) -> None:
        """Hears its answer, and asks again. One that has not answered for `HUNG_S` is killed."""
        with suppress(OSError, EOFError):
            if self.parent_conn.poll():
                self.serving = self.parent_conn.recv()
                self._asked_at = None
                self._ask_at = now + (PING_S if self.serving else 0.0)
            if self._asked_at is None and now >= self._ask_at:
                self.parent_conn.send(b"ping")
                self._asked_at = now
        if self._asked_at is not None and now - self._asked_at > HUNG_S:
            log.warning("worker_hangs", pid=self.pid, for_s=HUNG_S)
            self.process.kill()

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            if self.alive and self.pid is not None:
                os.kill(self.pid, number)

    def bury(self) -> None:
        self.process.join()
        self.parent_conn.close()
        self.child_conn.close()


class _Place:
    """Where one worker is, or will be again."""

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self.start_at = 0.0
        self.backoff_s = BACKOFF_S


class Workers:
    """The first one starts alone: what keeps it from starting would keep all, and is to be told once."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, count: int, drain_limit_s: float) -> None:
        self._config = config
        self._listener = listener
        self._drain_limit_s = drain_limit_s
        self._places = [_Place() for _ in range(count)]
        self._served = False
        self._stop_by: float | None = None
        self._exit_status = 0

    def run(self) -> int:
        """Until a signal ends it, or the first worker cannot start. Returns the exit status."""
        with _signals() as signals:
            while self._stop_by is None or self._alive():
                waiting: list[socket.socket | int] = [signals, *(w.process.sentinel for w in self._alive())]
                if signals in connection.wait(waiting, timeout=self._look_within_s()):
                    for number in signals.recv(64):
                        self._stop(number)
                now = time.monotonic()
                for place in self._places if self._served else self._places[:1]:
                    self._tend(place, now)
                if self._stop_by is not None and now >= self._stop_by:
                    for worker in self._alive():
                        worker.process.kill()
        return self._exit_status

    def _look_within_s(self) -> float:
        return LOOK_S if self._stop_by is None else min(LOOK_S, max(0.0, self._stop_by - time.monotonic()))

    def _alive(self) -> list[Worker]:
        return [place.worker for place in self._places if place.worker is not None and place.worker.alive]

    def _tend(self, place: _Place, now: float) -> None:
        if place.worker is not None and not place.worker.alive:
            self._ended(place, place.worker, now)
        if place.worker is None and self._stop_by is None and now >= place.start_at:
            place.worker = Worker(self._config, self._listener)
            place.worker.start()
        if place.worker is not None:
            place.worker.look(now)
            if place.worker.serving:
                self._served, place.backoff_s = True, BACKOFF_S

    def _ended(self, place: _Place, worker: Worker, now: float) -> None:
        worker.bury()
        place.worker = None
        if self._stop_by is not None:
            return
        if not self._served:
            self._stop_by, self._exit_status = now, worker.exitcode or 1
        elif worker.serving:
            log.warning("worker_died", pid=worker.pid, exit_status=worker.exitcode)
        else:
            log.warning("worker_not_started", pid=worker.pid, exit_status=worker.exitcode, again_in_s=place.backoff_s)
            place.start_at, place.backoff_s = now + place.backoff_s, min(2 * place.backoff_s, MAX_BACKOFF_S)

    def _stop(self, number: int) -> None:
        """A first SIGTERM lets them drain; SIGINT ends live runs now, and a second one everything."""
        if number not in STOPPING:
            return
        again = self._stop_by is not None
        limit_s = self._drain_limit_s if number == signal.SIGTERM else 0.0
        stop_by = time.monotonic() + limit_s + AFTER_DRAIN_S
        self._stop_by = stop_by if self._stop_by is None else min(self._stop_by, stop_by)
        if not again or number == signal.SIGINT:
            log.info("stopping", signal=signal.Signals(number).name)
            for worker in self._alive():
                # One that is starting would only print where the interrupt met it.
                worker.signal(number if worker.serving else signal.SIGTERM)


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket that gets a byte, its number, for each signal that is to stop us."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = [signal.signal(number, lambda *_: None) for number in STOPPING]
    wakeup = signal.set_wakeup_fd(writer.fileno())
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in zip(STOPPING, before, strict=True):
            signal.signal(number, handler)
        reader.close()
        writer.close()
