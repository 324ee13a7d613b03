"""The metrics of all processes together.

A scraper that asks one of several workers behind one port gets the sum over these workers, whichever answers. Servers
that run apart are scraped apart, so their Prometheus text is their own. The few figures that a person asks for as JSON
are of everybody.
"""

import hashlib
import multiprocessing
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from prometheus_client import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from chatorch.entrypoints.metrics import REDIS_UP, Metrics
from chatorch.ports.noticeboard import Noticeboard
from chatorch.ports.system import Clock

POST_S = 1.0
SUMMED = ("active_connections", "live_runs", "db_pool_in_use", "db_pool_size")
NOT_SUMMED = ("chatorch_build_info", "chatorch_loop_lag_seconds")
"""Of these the largest says more than the sum."""
LEAST = (REDIS_UP,)
"""And of these the smallest."""


class _Sample(msgspec.Struct, array_like=True):
    name: str
    labels: dict[str, str]
    value: float


class _Family(msgspec.Struct, array_like=True):
    name: str
    documentation: str
    kind: str
    samples: list[_Sample]


class _Shown(msgspec.Struct, array_like=True):
    server: str
    figures: dict[str, float]
    families: list[_Family]


class Fleet:
    """Shows this process's figures to the others, and adds theirs to its own. `server`: see `server_name`."""

    def __init__(self, metrics: Metrics, board: Noticeboard, clock: Clock, server: str | None = None) -> None:
        self._metrics = metrics
        self._board = board
        self._clock = clock
        self._server = server or server_name()
        self._posted = 0

    async def keep_posted(self) -> None:
        """For ever: shows the figures once a second."""
        while True:
            await self.post()
            await self._clock.sleep(POST_S)

    async def post(self) -> None:
        figures = self._metrics.as_dict()
        shown = _Shown(self._server, figures, _families(self._metrics.collect()))
        processed = int(figures["total_messages_processed"])
        if await self._board.post(msgspec.msgpack.encode(shown), processed - self._posted):
            self._posted = processed

    async def as_text(self) -> bytes:
        """The Prometheus text of this server's processes."""
        others = [shown for shown in await self._others() if shown.server == self._server]
        if not others:
            return self._metrics.as_text()
        return generate_latest(_Sum([_families(self._metrics.collect()), *(shown.families for shown in others)]))

    async def as_dict(self) -> dict[str, float]:
        """The figures of all processes; `uptime` and `loop_lag_seconds` are this one's.

        Where `redis_up` is 0, they are all this one's.
        """
        figures = self._metrics.as_dict()
        board = await self._board.read()
        for shown in _decoded(board.shown):
            for name in SUMMED:
                figures[name] += shown.figures.get(name, 0)
        if board.processed is not None:
            figures["total_messages_processed"] += board.processed - self._posted
        return figures

    async def _others(self) -> list[_Shown]:
        return list(_decoded((await self._board.read()).shown))


class _Sum(Collector):
    """Families of several processes as one: samples of the same name and labels are added up."""

    def __init__(self, processes: Iterable[list[_Family]]) -> None:
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        families: dict[str, tuple[_Family, dict[tuple[Any, ...], float]]] = {}
        for family in (family for process in self._processes for family in process):
            _, values = families.setdefault(family.name, (family, {}))
            for sample in family.samples:
                key = (sample.name, *sorted(sample.labels.items()))
                values[key] = _joined(sample, values.get(key))
        for family, values in families.values():
            metric = Metric(family.name, family.documentation, family.kind)
            for (name, *labels), value in values.items():
                metric.add_sample(name, dict(labels), value)
            yield metric


def server_name() -> str:
    """The same for all workers of one `chatorch serve`, and for nobody else.

    `multiprocessing` gives a process 32 random bytes when it starts, and its children inherit them (`Process.authkey`).
    Host name and process id would not do: containers that share the host's network are all pid 1 of one host.
    """
    return hashlib.sha256(multiprocessing.current_process().authkey).hexdigest()[:16]


def _joined(sample: _Sample, before: float | None) -> float:
    if before is None:
        return sample.value
    if sample.name.endswith("_created") or sample.name in LEAST:
        return min(before, sample.value)
    return max(before, sample.value) if sample.name in NOT_SUMMED else before + sample.value


def _families(metrics: Iterable[Metric]) -> list[_Family]:
    return [
        _Family(m.name, m.documentation, m.type, [_Sample(s.name, dict(s.labels), s.value) for s in m.samples])
        for m in metrics
    ]


def _decoded(shown: Iterable[bytes]) -> Iterator[_Shown]:
    for figures in shown:
        try:
            yield msgspec.msgpack.decode(figures, type=_Shown)
        except msgspec.MsgspecError:  # of another version, while a new one is rolled out
            continue
