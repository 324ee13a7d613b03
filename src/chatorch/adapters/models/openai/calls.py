"""The tool calls of an answer, put together from pieces that may be interleaved, unnamed, unnumbered or repeated."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from chatorch.adapters.models.openai.reports import Json
from chatorch.adapters.models.openai.storable import Halves, leaves, storable, weight
from chatorch.adapters.models.upstream.payloads import Number
from chatorch.domain.model.text import storable_text

_MARKS = re.compile(r'["\\{}\[\]]')
_MAX_INDEX_CHARS = 32
_MAX_DEPTH = 64
OPAQUE = ("extra_content", "thought_signature", "thoughtSignature", "provider_specific_fields")
"""What a provider wants back with the call, and nobody else understands."""


@dataclass(slots=True)
class CallPiece:
    """What one entry of `tool_calls` says; `place` is its `index`, or where it stands in a list of several."""

    place: str | None
    id: str
    name: str
    arguments: str
    opaque: Json | None = None

    def __bool__(self) -> bool:
        return bool(self.id or self.name or self.arguments)


def calls_in(said: object) -> Iterator[CallPiece]:
    """The pieces of calls in a delta or a message."""
    if not isinstance(said, Mapping):
        return
    found = [entry for entry in leaves(said.get("tool_calls")) if isinstance(entry, Mapping)]
    yield from filter(None, (_piece_of(entry, n if len(found) > 1 else None) for n, entry in enumerate(found)))
    legacy = said.get("function_call")
    if not found and isinstance(legacy, Mapping) and (piece := _piece_of({"function": legacy}, None)):
        piece.place = "function_call"
        yield piece


def _piece_of(entry: Json, position: int | None) -> CallPiece:
    inner = next((said for name in ("function", "custom") if isinstance(said := entry.get(name), Mapping)), entry)
    arguments = next((said for name in ("arguments", "input") if (said := inner.get(name)) is not None), "")
    opaque = {name: said for name in OPAQUE if (said := entry.get(name))}
    name, ident = inner.get("name"), entry.get("id")
    return CallPiece(
        _place_of(entry.get("index"), position),
        storable_text(ident) if isinstance(ident, str) and ident != "null" else "",
        storable_text(name) if isinstance(name, str) else "",
        arguments if isinstance(arguments, str) else written(arguments),
        opaque or None,
    )


def _place_of(index: object, position: int | None) -> str | None:
    if isinstance(index, str | int | float) and not isinstance(index, bool):
        return str(index)[:_MAX_INDEX_CHARS].removesuffix(".0")
    return None if position is None else f"{position}"


def written(value: object, depth: int = 0) -> str:
    """JSON text of what was sent as a value, numbers as they were written."""
    match value:
        case Number():
            return value.written
        case Mapping() if depth < _MAX_DEPTH:
            inner = (f"{written(str(name))}: {written(said, depth + 1)}" for name, said in value.items())
            return "{" + ", ".join(inner) + "}"
        case list() if depth < _MAX_DEPTH:
            return "[" + ", ".join(written(said, depth + 1) for said in value) + "]"
        case str():
            return msgspec.json.encode(storable_text(value)).decode()
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
    return "null"


class Nesting:
    """Whether a JSON object that comes in pieces has been closed."""

    __slots__ = ("_depth", "_escaped", "_in_string", "_opened")

    def __init__(self) -> None:
        self._depth = 0
        self._opened = self._in_string = self._escaped = False

    @property
    def complete(self) -> bool:
        return self._opened and self._depth <= 0 and not self._in_string

    def take(self, text: str) -> None:
        at = 1 if self._escaped and text else 0
        self._escaped = self._escaped and not text
        while mark := _MARKS.search(text, at):
            at = mark.end()
            match mark.group():
                case '"':
                    self._in_string = not self._in_string
                case "\\":
                    self._escaped = at == len(text)
                    at += 1
                case "{" | "[" if not self._in_string:
                    self._depth += 1
                    self._opened = True
                case "}" | "]" if not self._in_string:
                    self._depth -= 1


class Call:
    """One call. Its arguments are held back until it is its turn."""

    __slots__ = (
        "_halves", "_nesting", "closed", "held", "id", "name", "number", "opaque", "started", "told",
        "waits",
    )  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        self.id = self.name = ""
        self.opaque: list[object] = []
        self.held: list[str] = []
        self.told: list[str] = []
        self.waits = self.started = self.closed = False
        self._nesting = Nesting()
        self._halves = Halves()

    @property
    def head(self) -> dict[str, str]:
        """With an id of ours where the provider gave none."""
        return {"id": self.id or f"call_{self.number}", "name": self.name}

    @property
    def complete(self) -> bool:
        """Whether its arguments are an object, and all of it."""
        return self._nesting.complete

    def add(self, piece: CallPiece) -> int:
        """How much longer it is by this, in code points. What comes when it has ended means nothing: -1."""
        if self.closed:
            return -1 if piece.arguments.strip() else 0
        size = len(piece.arguments) + len(piece.id) + len(piece.name)
        if not self.started:
            self.id = self.id or piece.id
            if piece.name:  # some send it again with each piece, a few in pieces
                self.name = piece.name if piece.name.startswith(self.name) else self.name + piece.name
        if piece.opaque is not None and (opaque := storable(piece.opaque)) not in self.opaque[-1:]:
            self.opaque.append(opaque)
            size += weight(opaque)
        if piece.arguments:
            self.told.append(piece.arguments)
            self._nesting.take(piece.arguments)
            if text := self._halves.take(piece.arguments):
                self.held.append(text)
        return size

    def taken(self) -> str:
        """The arguments that were held back."""
        text = "".join(self.held)
        self.held.clear()
        return text

    def rest(self) -> str:
        return self._halves.rest()


class Calls:
    """Tells which call a piece belongs to.

    By its id, where a call has that; else by its place, which several servers give to all calls alike: there a new
    call begins with another id and a name, or with a name where the one before is whole. Without either it goes on
    with the last one.
    """

    __slots__ = ("_all", "_by_id", "_by_place", "_last")

    def __init__(self) -> None:
        self._all: list[Call] = []
        self._by_id: dict[str, tuple[Call, str | None]] = {}
        self._by_place: dict[str, Call] = {}
        self._last: Call | None = None

    def __len__(self) -> int:
        return len(self._all)

    def of(self, piece: CallPiece) -> Call:
        """The call, a new one perhaps."""
        call = self._known(piece) or self._begun()
        if piece.place is not None:
            self._by_place[piece.place] = call
        if piece.id:
            self._by_id[piece.id] = (call, piece.place)
        self._last = call
        return call

    def at(self, position: int) -> Call | None:
        return self._all[position] if position < len(self._all) else None

    def _known(self, piece: CallPiece) -> Call | None:
        if piece.id and (known := self._by_id.get(piece.id)):
            call, place = known
            if place is None or piece.place in (None, place):
                return call
        call_there = self._last if piece.place is None else self._by_place.get(piece.place)
        return None if call_there is None or _begins_another(piece, call_there) else call_there

    def _begun(self) -> Call:
        call = Call(len(self._all) + 1)
        self._all.append(call)
        return call


def _begins_another(piece: CallPiece, call: Call) -> bool:
    if piece.id and call.id and piece.id != call.id:
        return bool(piece.name) or piece.place is None  # a few give each piece another id
    if not piece.name or not call.name:
        return False
    if piece.name != call.name and piece.place is None:
        return True
    return call.complete and bool(piece.arguments.strip())
