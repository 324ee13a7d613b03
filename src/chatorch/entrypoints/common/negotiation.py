"""What a client accepts, by its weights (RFC 9110, 12.5.1)."""

import math
import re
from collections.abc import Iterable, Iterator

_LIST = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_PARAMETER = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+')

Weight = tuple[float, int]
"""How much it is wanted, and how closely it was named: 0 by nothing, 1 by ``*/*``, 2 by ``type/*``, 3 by itself."""


def prefers(accept: Iterable[str], wanted: str, over: str) -> bool:
    """Whether the values of all `Accept` headers want the media type `wanted` more than `over`.

    Of the same weight, the one that is named more closely is wanted more; where that is the same, too, or neither is
    wanted, `over` is. A range without a readable weight counts as not sent. Parameters other than the weight do not
    matter.
    """
    ranges = list(_ranges(accept))
    weight = _weight(ranges, wanted)
    return weight[0] > 0 and weight > _weight(ranges, over)


def _weight(ranges: Iterable[tuple[str, float]], media_type: str) -> Weight:
    """The closest range decides; of the same range given twice, the greater weight."""
    closeness = {"*/*": 1, media_type.partition("/")[0] + "/*": 2, media_type: 3}
    found = [(closeness[name], weight) for name, weight in ranges if name in closeness]
    closest, weight = max(found, default=(0, 0.0))
    return weight, closest


def _ranges(accept: Iterable[str]) -> Iterator[tuple[str, float]]:
    for value in accept:
        for item in _LIST.findall(value):
            name, *parameters = [part.strip().lower() for part in _PARAMETER.findall(item)] or [""]
            weight = _q(parameters)
            if weight is not None:
                yield name, weight


def _q(parameters: Iterable[str]) -> float | None:
    """1 where none is given, None for one that is no number from 0 to 1."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value.strip())
            except ValueError:
                return None
            return weight if math.isfinite(weight) and 0 <= weight <= 1 else None
    return 1.0
