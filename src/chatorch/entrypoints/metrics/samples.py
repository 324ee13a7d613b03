"""Prometheus samples of several processes as those of one.

A sample goes by its name here: its family, its own name and its labels, in JSON.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec
from prometheus_client import Metric
from prometheus_client.registry import Collector

from chatorch.entrypoints.metrics.metrics import REDIS_UP

Samples = Mapping[str, float]

COUNTING = frozenset({"counter", "histogram"})
NOT_SUMMED = ("chatorch_build_info", "chatorch_loop_lag_seconds")
"""Of these the largest says more than the sum."""
CREATED = "_created"
LEAST = (REDIS_UP, CREATED)
"""And of these the smallest."""

_encode = msgspec.json.Encoder().encode


class _Name(msgspec.Struct, array_like=True, frozen=True):
    family: str
    sample: str
    labels: dict[str, str]


def counts_and_states(metrics: Iterable[Metric]) -> tuple[dict[str, float], dict[str, float]]:
    """What never falls while the process lives, and what is so just now and means nothing when it is gone."""
    counts: dict[str, float] = {}
    states: dict[str, float] = {}
    for metric in metrics:
        for sample in metric.samples:
            counting = metric.type in COUNTING and not sample.name.endswith(CREATED)
            name = _encode((metric.name, sample.name, sample.labels)).decode()
            (counts if counting else states)[name] = sample.value
    return counts, states


class Joined(Collector):
    """The families of `own`, with what is `counted` by all processes and the `states` of the living ones."""

    def __init__(self, own: Iterable[Metric], counted: Samples, states: Iterable[Samples]) -> None:
        self._families = {metric.name: (metric.documentation, metric.type) for metric in own}
        self._samples = {**counted, **_joined(states)}

    def collect(self) -> Iterator[Metric]:
        metrics = {name: Metric(name, *about) for name, about in self._families.items()}
        for name, value in sorted(((_parsed(name), value) for name, value in self._samples.items()), key=_place):
            if name.family in metrics:  # else it is of another version, while workers are renewed
                metrics[name.family].add_sample(name.sample, name.labels, value)
        return iter(metrics.values())


def _joined(states: Iterable[Samples]) -> dict[str, float]:
    joined: dict[str, float] = {}
    for name, value in ((name, value) for samples in states for name, value in samples.items()):
        before = joined.get(name)
        joined[name] = value if before is None else _of_two(_parsed(name).sample, before, value)
    return joined


def _of_two(sample: str, one: float, other: float) -> float:
    if sample.endswith(LEAST):
        return min(one, other)
    return max(one, other) if sample in NOT_SUMMED else one + other


@lru_cache(maxsize=10_000)
def _parsed(name: str) -> _Name:
    return msgspec.json.decode(name, type=_Name)


def _place(named: tuple[_Name, float]) -> tuple[Sequence[tuple[str, str]], str, float]:
    """Buckets rise, as the text format wants it."""
    name, _ = named
    labels = dict(name.labels)
    most = float(labels.pop("le", 0))
    return sorted(labels.items()), name.sample, most
