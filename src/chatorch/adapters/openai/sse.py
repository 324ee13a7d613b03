"""Server-sent events, taken apart byte by byte as they come (WHATWG HTML, 9.2.6), and a JSON body in the same shape.

Only the `data` of an event matters here: names, ids, retry times and comments are dropped.
"""

from abc import abstractmethod
from typing import Protocol

MAX_EVENT_BYTES = 2**20
MAX_BODY_BYTES = 8 * 2**20

DONE = b"[DONE]"
_BOM = b"\xef\xbb\xbf"


class PayloadParser(Protocol):
    """Turns bytes, cut anywhere, into whole payloads. `overflow`: one was too long, and nothing more is parsed."""

    overflow: bool

    @abstractmethod
    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes."""
        ...

    @abstractmethod
    def close(self) -> list[bytes]:
        """The payload that only the end completes, if any."""
        ...


class EventParser(PayloadParser):
    """Payloads are the `data` of events. An event is at most 1 MiB, and so is a line.

    Unlike a browser, `close` also gives the event that no blank line ended: several servers end their stream so.
    """

    __slots__ = ("_after_cr", "_data", "_data_size", "_held", "_held_size", "_started", "_whole", "overflow")

    def __init__(self) -> None:
        self.overflow = False
        self._started = False
        self._whole = False
        self._after_cr = False
        self._held: list[bytes] = []
        self._held_size = 0
        self._data: list[bytes] = []
        self._data_size = 0

    def feed(self, data: bytes) -> list[bytes]:
        size = len(data)
        if (
            self._whole
            and data[:6] == b"data: "
            and data.find(b"\n") == size - 2  # and so the last but one; then the last must end the event
            and data[-1] == 10
            and b"\r" not in data
            and size <= MAX_EVENT_BYTES
        ):
            return [data[6:-2]] if size > 8 else []  # What nearly every read brings: one event, whole.
        if self._after_cr or b"\r" in data:
            data = self._with_line_feeds(data)
        lines = data.split(b"\n")
        rest = lines.pop()
        payloads: list[bytes] = []
        if lines:
            if self._held:
                self._held.append(lines[0])
                lines[0] = b"".join(self._held)
                self._held.clear()
                self._held_size = 0
            self._take(lines, payloads)
        if rest:
            self._held.append(rest)
            self._held_size += len(rest)
            self.overflow = self.overflow or self._held_size > MAX_EVENT_BYTES
        self._whole = self._started and not (self._held or self._data or self._after_cr)
        return payloads

    def close(self) -> list[bytes]:
        return self.feed(b"\n\n")

    def _take(self, lines: list[bytes], payloads: list[bytes]) -> None:
        data = self._data
        if not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(_BOM)
        for line in lines:
            if not line:
                if data:
                    payload = data[0] if len(data) == 1 else b"\n".join(data)
                    if payload:
                        payloads.append(payload)
                    data.clear()
                    self._data_size = 0
            elif line.startswith(b"data:"):
                self._data_size += len(line)
                if self._data_size > MAX_EVENT_BYTES:
                    self.overflow = True
                    return
                data.append(line[6:] if line[5:6] == b" " else line[5:])

    def _with_line_feeds(self, data: bytes) -> bytes:
        """CR and CRLF end lines too; a CRLF may be cut in two."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


class BodyParser(PayloadParser):
    """The whole body, at most 8 MiB, is one payload, followed by `[DONE]`: for servers that ignore `stream`."""

    __slots__ = ("_parts", "_size", "overflow")

    def __init__(self) -> None:
        self.overflow = False
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        self._parts.append(data)
        self._size += len(data)
        self.overflow = self._size > MAX_BODY_BYTES
        return []

    def close(self) -> list[bytes]:
        return [b"".join(self._parts), DONE]
