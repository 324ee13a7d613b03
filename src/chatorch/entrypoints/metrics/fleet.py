"""The metrics of all processes together.

A scraper that asks one of several workers behind one port gets the sum over these workers, whichever answers, and what
was counted by those that are gone. Servers that run apart are scraped apart, so their Prometheus text is their own. The
few figures that a person asks for as JSON are of everybody.
"""

import asyncio
import hashlib
import multiprocessing
from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec
from prometheus_client.exposition import generate_latest

from chatorch.entrypoints.metrics.kept import Kept
from chatorch.entrypoints.metrics.metrics import Metrics
from chatorch.entrypoints.metrics.samples import Joined, counts_and_states
from chatorch.ports.noticeboard import Noticeboard
from chatorch.ports.system import Clock

POST_S = 1.0
KEPT_S = 1.0
LAST_POST_S = 0.5
SUMMED = ("active_connections", "live_runs", "db_pool_in_use", "db_pool_size")


class _Shown(msgspec.Struct, array_like=True):
    figures: dict[str, float]
    states: dict[str, float]


class Fleet:
    """Shows this process's figures to the others, and adds theirs to its own.

    `text` and `figures` are what `as_text` and `as_dict` make, for whoever comes: made once in `kept_s` seconds.
    Each process keeps its own, so for who asks several of them more often than that a count may fall.
    """

    def __init__(self, metrics: Metrics, board: Noticeboard, clock: Clock, kept_s: float = KEPT_S) -> None:
        self.text = Kept(self.as_text, clock, kept_s)
        self.figures = Kept(self.as_dict, clock, kept_s)
        self._metrics = metrics
        self._board = board
        self._clock = clock
        self._posted = False

    async def keep_posted(self) -> None:
        """For ever: shows the figures once a second."""
        while True:
            await self.post()
            await self._clock.sleep(POST_S)

    async def post(self) -> None:
        figures, (counts, states) = self._metrics.as_dict(), counts_and_states(self._metrics.collect())
        shown = msgspec.msgpack.encode(_Shown(figures, states))
        if await self._board.post(shown, int(figures["total_messages_processed"]), counts):
            self._posted = True

    async def aclose(self) -> None:
        """When nothing counts any more: tells what was counted last, and shows nothing from then on."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_POST_S):
                await self.post()
        await self._board.withdraw()

    async def as_text(self) -> bytes:
        """The Prometheus text of this server's processes: counted up to a second ago, or of this one where it is alone.

        Nothing is shown before it is told to the others, so that no count falls, whoever answers next.
        """
        if not self._posted:
            await self.post()
        board = await self._board.read()
        if board.counted is None:
            return self._metrics.as_text()
        own = list(self._metrics.collect())
        _, states = counts_and_states(own)
        mates = (shown.states for shown in _decoded(board.mates))
        return generate_latest(Joined(own, board.counted, (states, *mates)))

    async def as_dict(self) -> dict[str, float]:
        """The figures of all processes, those of others up to a second old.

        `uptime` and `loop_lag_seconds` are this one's. Where `redis_up` is 0, they all are.
        """
        figures = self._metrics.as_dict()
        board = await self._board.read()
        for shown in _decoded((*board.mates, *board.strangers)):
            for name in SUMMED:
                figures[name] += int(shown.figures.get(name, 0))
        figures["total_messages_processed"] += board.processed
        return figures


def server_name() -> str:
    """The same for all workers of one `chatorch serve`, and for nobody else.

    `multiprocessing` gives a process 32 random bytes when it starts, and its children inherit them (`Process.authkey`).
    Host name and process id would not do: containers that share the host's network are all pid 1 of one host.
    """
    return hashlib.sha256(multiprocessing.current_process().authkey).hexdigest()[:16]


def _decoded(shown: Iterable[bytes]) -> Iterator[_Shown]:
    for figures in shown:
        try:
            yield msgspec.msgpack.decode(figures, type=_Shown)
        except msgspec.MsgspecError:  # of another version, while a new one is rolled out
            continue
