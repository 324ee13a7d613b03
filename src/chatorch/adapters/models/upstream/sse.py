"""The body of an answer, taken apart byte by byte as it comes, whatever it is: events, JSON, or JSON a line.

Server-sent events as WHATWG HTML (9.2.6) has them, and what providers make of them: no blank line between two, JSON
without `data:` before it, a field named `error`. What it is, its first bytes say; content types are often wrong.
"""

import re

import msgspec

MAX_EVENT_BYTES = 2**20
MAX_BODY_BYTES = 8 * 2**20

END = b"\0end"
"""Follows the one JSON value that was the whole body, for servers that ignore `stream`."""

_BOM = b"\xef\xbb\xbf"
_FAULTS = {b"error", b"errors", b"exception", b"failed", b"failure", b"fatal"}
_FIELD = re.compile(rb"[\w.-]+")
_MAX_TRIES = 100
_raw = msgspec.json.Decoder(msgspec.Raw).decode


class Fault(bytes):
    """The data of an event that is named `error`, or what a field of that name holds, where it is no JSON."""


class PayloadParser:
    """Turns bytes, cut anywhere, into whole payloads: the `data` of an event, or a JSON value. Neither is looked into.

    An event, and a line, is at most 1 MiB; a body that begins as JSON at most 8. `overflow`: one was longer. `alien`:
    it is neither events nor JSON, a proxy's login page, say. After either nothing more is parsed. `events`: the content
    type says that it is events, so a first line that means nothing is no proof that it is not.

    Unlike a browser, `close` also gives the event that no blank line ended: several servers end their stream so.
    """

    __slots__ = (
        "_after_cr", "_bare", "_body", "_by_line", "_data", "_data_size", "_events", "_failing", "_held", "_held_size",
        "_json", "_known", "_lead", "_limit", "_started", "_tries", "_values", "_whole", "alien", "overflow",
    )  # fmt: skip

    def __init__(self, *, events: bool = False) -> None:
        self.overflow = self.alien = False
        self._started = self._json = False
        self._known = events
        self._lead = b""
        self._whole = self._after_cr = False
        self._held: list[bytes] = []
        self._held_size = 0
        self._data: list[bytes] = []
        self._body: list[bytes] | None = None
        self._data_size = 0  # or the body's
        self._limit = MAX_EVENT_BYTES
        self._failing = self._by_line = self._events = False
        self._bare = False  # what is held was not behind `data:`
        self._tries = 0
        self._values = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes."""
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
        if not self._started:
            data = self._begin(data)
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
            self.overflow = self.overflow or self._held_size > self._limit
        idle = not (self._held or self._data or self._after_cr or self._failing)
        self._whole = self._started and idle and self._body is None
        return payloads

    def close(self) -> list[bytes]:
        """The payloads that only the end completes."""
        payloads = self.feed(b"\n\n") if self._started else []
        if self._body is not None:
            payloads.append(b"\n".join(self._body))
            self._values += 1
        if self._json and self._values == 1 and not self._events:
            payloads.append(END)
        return payloads

    def _begin(self, data: bytes) -> bytes:
        """Without white space and a byte order mark; what these bytes start with says what the body is."""
        lead = self._lead + data
        if _BOM.startswith(lead):
            self._lead = lead
            return b""
        self._lead = b""
        lead = _without_bom(lead).lstrip()
        if lead:
            self._started = True
            self._json = lead[:1] in (b"{", b"[")
            self._limit = MAX_BODY_BYTES if self._json else MAX_EVENT_BYTES
            self.alien = lead[:1] == b"<"
        return b"" if self.alien else lead

    def _take(self, lines: list[bytes], payloads: list[bytes]) -> None:
        data = self._data
        for line in lines:
            if self._body is not None:
                self._body.append(line)
                self._grow(len(line) + 1)
            elif not line:
                if data or self._failing:
                    self._end_event(payloads)
            elif line.startswith(b"data:"):
                value = line[6:] if line[5:6] == b" " else line[5:]
                if data or self._by_line:
                    self._add(value, payloads)
                else:
                    data.append(value)
                    self._events = True
                    self.overflow = self.overflow or len(line) > self._limit
            else:
                self._take_other(line, payloads)
            if self.overflow or self.alien:
                return

    def _end_event(self, payloads: list[bytes]) -> None:
        data = self._data
        payload = data[0] if len(data) == 1 else b"\n".join(data)
        if self._failing:
            payloads.append(Fault(payload))
            self._failing = False
        elif payload:
            payloads.append(payload)
        data.clear()
        self._data_size = 0
        self._bare = False

    def _add(self, value: bytes, payloads: list[bytes]) -> None:
        """One more line of an event, or the next event where no blank line was between them."""
        data = self._data
        self._events = True
        if self._bare:
            self._end_event(payloads)
        elif data and self._end_complete(payloads):
            self._by_line = True
        if data:
            self._more(value)
        else:
            data.append(value)
        if self._by_line:
            self._end_complete(payloads)

    def _end_complete(self, payloads: list[bytes]) -> bool:
        """Ends an event that lacks nothing but its blank line."""
        complete = len(self._data) == 1 and _is_complete(self._data[0])
        if complete:
            self._end_event(payloads)
        return complete

    def _take_other(self, line: bytes, payloads: list[bytes]) -> None:
        """A line that is neither blank nor begins with `data:`."""
        line = _without_bom(line)
        name, colon, value = line.partition(b":")
        match name.strip().lower():
            case b"data" if colon:
                self._add(value.removeprefix(b" "), payloads)
            case b"event" if colon:
                self._end_complete(payloads)
                words = re.findall(rb"[a-z]+", value.lower())
                if b"{" in value:  # a line break was lost, and what it holds with it
                    payloads.append(value)
                self._failing = not _FAULTS.isdisjoint(words) and b"no" not in words
            case b"error" | b"errors":
                self._end_complete(payloads)
                if value := (value if colon else name).strip():
                    payloads.append(b'{"error":%b}' % value if _is_json(value) else Fault(value))
            case b"id" | b"retry" | b"":  # the last is a comment, or blank but for white space
                if not line.strip() and (self._data or self._failing):
                    self._end_event(payloads)
            case _:
                self._take_bare(line, payloads)
                return
        self._known = True

    def _take_bare(self, line: bytes, payloads: list[bytes]) -> None:
        """A line that no field begins: JSON, or more of the JSON that a line before it began, or words."""
        data = self._data
        if data and data[0][:1] in (b"{", b"[") and (self._bare or len(data) > 1 or not _is_complete(data[0])):
            self._more(line)
            if self._bare and line[:1] in (b"}", b"]") and self._tries < _MAX_TRIES:
                self._tries += 1
                if _is_json(b"\n".join(data)):
                    self._end_event(payloads)
            return
        self._end_complete(payloads)
        if line.lstrip()[:1] not in (b"{", b"["):
            if self._known or self._events:
                self._take_words(line, payloads)
            else:
                self.alien = True
            return
        self._values += 1
        if _is_json(line):
            payloads.append(line)
        elif self._json and self._values == 1 and not self._events:
            self._values = 0
            self._body = [line]
            self._grow(len(line) + 1)
            return
        else:
            data.append(line.lstrip())
            self._bare = True
        self._known = True

    def _take_words(self, line: bytes, payloads: list[bytes]) -> None:
        """Between events. Of a field that is not known the JSON, if any: its name may be what is broken."""
        name, _, value = line.partition(b":")
        if _FIELD.fullmatch(name) and (value := value.strip()) and b'"' not in name:
            if value[:1] != b"{":
                return
            line = value
        payloads.append(line)

    def _more(self, line: bytes) -> None:
        """Of this event, whose first line has not been counted where it was taken: most have no second."""
        if len(self._data) == 1:
            self._grow(len(self._data[0]))
        self._data.append(line)
        self._grow(len(line) + 1)

    def _grow(self, size: int) -> None:
        self._data_size += size
        self.overflow = self.overflow or self._data_size > self._limit

    def _with_line_feeds(self, data: bytes) -> bytes:
        """CR and CRLF end lines too; a CRLF may be cut in two."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _without_bom(line: bytes) -> bytes:
    while line.startswith(_BOM):
        line = line[3:]
    return line


def _is_json(value: bytes) -> bool:
    try:
        _raw(value)
    except (ValueError, RecursionError):
        return False
    return True


def _is_complete(line: bytes) -> bool:
    """Whether this line of an event is all of it."""
    return (line[:1] == b"{" and _is_json(line)) or line.strip().upper() == b"[DONE]"
