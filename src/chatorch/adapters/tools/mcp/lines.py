"""Lines of a stream, none longer than so many bytes, whatever is sent."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

KEPT = 512
"""How much is kept of each end of a line that is too long, for the id in it."""

_ID_FIRST = re.compile(rb'\s*\{\s*"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*(\d{1,15})\s*[,}]')
_ID_LAST = re.compile(rb'"id"\s*:\s*(\d{1,15})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line of which nothing is left but whose answer it was, where it says so first or last."""

    request_id: int | None


class Lines:
    """Cuts what it is fed at line breaks."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._line = bytearray()
        self._tail: bytes | None = None
        self._is_told = False

    def feed(self, data: bytes) -> Iterator[bytes | TooLong]:
        """Raises nothing. A line that is too long is told of once: as soon as its id is known, or at its end."""
        *whole, rest = data.split(b"\n")
        for part in whole:
            yield from self._take(part)
            yield from self._finish()
        yield from self._take(rest)

    def _take(self, part: bytes) -> Iterator[TooLong]:
        if self._tail is not None:
            self._tail = (self._tail + part[-KEPT:])[-KEPT:]
            return
        self._line += part
        if len(self._line) <= self._most:
            return
        first = _ID_FIRST.match(bytes(self._line[:KEPT]))
        self._tail = bytes(self._line[-KEPT:])
        self._line.clear()
        if first:
            self._is_told = True
            yield TooLong(int(first[1]))

    def _finish(self) -> Iterator[bytes | TooLong]:
        if self._tail is None:
            if not self._line.isspace() and self._line:
                yield bytes(self._line)
        elif not self._is_told:
            last = _ID_LAST.search(self._tail)
            yield TooLong(int(last[1]) if last else None)
        self._line.clear()
        self._tail, self._is_told = None, False
