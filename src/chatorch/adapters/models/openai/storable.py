"""What may be stored of what a provider sends: without NUL, without lone surrogates, and no deeper than need be."""

import math
import re
from collections.abc import Iterator, Mapping

from chatorch.domain.model.text import REPLACEMENT, storable_text

_HIGH = re.compile("[\ud800-\udbff]\\Z")
_MAX_DEPTH = 8
_MAX_INTEGER = 2**53


class Halves:
    """Text that comes in pieces, each of which may end with half a character: that half waits for the other."""

    __slots__ = ("half",)

    def __init__(self) -> None:
        self.half = ""

    def take(self, text: str) -> str:
        text = self.half + text
        half = _HIGH.search(text)
        self.half = half.group() if half else ""
        return storable_text(text.removesuffix(self.half) if half else text)

    def rest(self) -> str:
        """What stands for the half that waited, where no more comes."""
        half, self.half = self.half, ""
        return REPLACEMENT if half else ""


def storable(value: object, depth: int = 0) -> object:
    """JSON of a provider's as it may be stored. What is nested too deeply is None; a number too large is text."""
    match value:
        case str():
            return storable_text(value)
        case bool() | None:
            return value
        case int():
            return value if abs(value) <= _MAX_INTEGER else str(value)
        case float():
            return float(value) if math.isfinite(value) else str(value)
        case Mapping() if depth < _MAX_DEPTH:
            return {storable_text(str(name)): storable(said, depth + 1) for name, said in value.items()}
        case list() if depth < _MAX_DEPTH:
            return [storable(said, depth + 1) for said in value]
    return None


def leaves(value: object, most: int = 2000) -> Iterator[object]:
    """What is in lists of lists, in order, or the value itself. Longer lists are not read to their end."""
    waiting = [value]
    while waiting and most:
        most -= 1
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(reversed(one[:most]))
        else:
            yield one


def weight(value: object) -> int:
    """About how much of an answer's room a value takes, in code points."""
    match value:
        case str():
            return len(value) + 1
        case Mapping():
            return 1 + sum(len(str(name)) + weight(said) for name, said in value.items())
        case list():
            return 1 + sum(map(weight, value))
    return 1
