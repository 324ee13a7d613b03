"""Telling the items of a response, one event after the other: what is open, what of it was told, under which number."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from chatorch.domain.model.content import PartDelta
from chatorch.domain.model.parts import Facts, Part, PartKind
from chatorch.entrypoints.common.cuts import cut
from chatorch.entrypoints.common.event_encoder import EventEncoder
from chatorch.entrypoints.openai.responses.call_items import McpCallItem
from chatorch.entrypoints.openai.responses.frames import Said, delta_form, frame
from chatorch.entrypoints.openai.responses.items import (
    COMPLETED,
    IN_PROGRESS,
    SAID,
    Event,
    Item,
    TextItem,
    annotation,
    item_at,
)
from chatorch.entrypoints.openai.responses.view import ResponseView

ADDED, DONE = "response.output_item.added", "response.output_item.done"

_encode = msgspec.json.Encoder().encode
_made = tuple.__new__
"""Of a named tuple: two thirds of the time of calling it, once a token."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a call of ours: its `head`. `told`: the call itself has been, by this response."""

    item: McpCallItem
    arguments: str
    head: Facts
    told: bool


@dataclass(frozen=True, slots=True)
class Open:
    """The item that is being said. `kind` is that of the parts that add to it; None while it gathers what is told as a
    whole: an item, or the `result` of a call."""

    item: Item
    kind: PartKind | None
    place: int
    form: bytes = field(compare=False)
    said: Said = field(compare=False)
    result: Result | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call of ours that was asked for, and is not answered."""

    item: McpCallItem
    arguments: str


class State(NamedTuple):
    """`number` is that of the next event, and nothing is sent up to `silent_to` (-1 once that is past). `held` is the
    text that is not cut yet, `told` how many characters of the open item are, `items` are those before it."""

    number: int = 0
    silent_to: int = -1
    held: str = ""
    told: int = 0
    open: Open | None = None
    items: tuple[bytes | Waiting, ...] = ()


class Over(State):
    """There is nothing more to say."""


class Telling(EventEncoder):
    """Says nothing up to the number `after`."""

    def __init__(self, view: ResponseView, after: int = -1) -> None:
        self.state: State = State(silent_to=after)
        self._view = view
        self._after = after

    # -- text ------------------------------------------------------------------------------------------------------

    def _say(self, event: PartDelta) -> bytes:
        number, silent_to, held, before, item, items = self.state
        if item is None or item.kind is not event.kind:
            return self._say_first(event)
        pieces, held = cut(held, event.text)
        if len(pieces) == 1 and silent_to < number:  # as nearly always
            piece, said = pieces[0], item.said
            told = before + len(piece)
            if said.chars == before:
                said.pieces.append(piece)
                said.chars = told
            else:
                said.add(before, piece)
            self.state = _made(State, (number + 1, silent_to, held, told, item, items))
            return item.form % (_encode(piece), number)
        if pieces:
            return self._tell(item, pieces, held)
        self.state = _made(State, (number, silent_to, held, before, item, items))
        return b""

    def _say_first(self, event: PartDelta) -> bytes:
        """Of an item, where there is one of this kind."""
        now = self.state.open
        if now is not None and now.kind is None:
            before = self.state.told
            now.said.add(before, event.text)
            self.state = self.state._replace(told=before + len(event.text))
            return b""
        if event.kind not in SAID or not event.text:
            return b""
        return self._open(item_at(self._view.run_id, event.index, event.kind)) + self._say(event)

    def _tell(self, item: Open, pieces: list[str], held: str) -> bytes:
        number, silent_to, _, before, _, items = self.state
        text = "".join(pieces)
        item.said.add(before, text)
        end = number + len(pieces)
        still = silent_to if silent_to >= end else -1
        self.state = State(end, still, held, before + len(text), item, items)
        if silent_to >= number:
            pieces = pieces[silent_to + 1 - number :]
            number = end - len(pieces)
        form = item.form
        return b"".join([form % (_encode(piece), at) for at, piece in enumerate(pieces, number)])

    def _flush(self) -> bytes:
        """What is held ends here."""
        item, held = self.state.open, self.state.held
        return b"" if item is None or not held else self._tell(item, [held], "")

    def _text(self) -> str:
        item = self.state.open
        return "" if item is None else item.said.upto(self.state.told)

    # -- items ----------------------------------------------------------------------------------------------------

    def _open(self, item: Item) -> bytes:
        state = self.state
        place = len(state.items)
        if not item.delta:
            new = Open(item, None, place, b"", Said())
            self.state = state._replace(held="", told=0, open=new)
            return b""
        new = Open(item, item.kind, place, delta_form(item, place), Said())
        self.state = state._replace(held="", told=0, open=new)
        told = self._event(ADDED, output_index=place, item=item.view("", IN_PROGRESS))
        return told + self._events(item.opening(place))

    def _annotate(self, part: Part) -> bytes:
        now = self.state.open
        if now is None or not isinstance(now.item, TextItem):
            return b""
        said = annotation(part.head, self.state.told)
        count = len(now.item.annotations)
        item = replace(now.item, annotations=(*now.item.annotations, said))
        self.state = self.state._replace(open=replace(now, item=item))
        where = item.where(now.place)
        return self._event("response.output_text.annotation.added", **where, annotation_index=count, annotation=said)

    def _close(self, status: str) -> bytes:
        """The open item as far as it came; not what is told when it is whole."""
        told = self._flush()
        if (now := self.state.open) is None:
            return told
        if now.kind is None:
            self.state = self.state._replace(told=0, open=None)
            return told
        item, text = now.item, self._text()
        if status == COMPLETED or isinstance(item, TextItem):  # no half of a call is to be carried out
            told += self._events(item.closing(now.place, text))
        whole = _encode(item.view(text, status))
        self.state = self.state._replace(held="", told=0, open=None, items=(*self.state.items, whole))
        return told + self._event(DONE, output_index=now.place, item=msgspec.Raw(whole))

    def _events(self, events: Iterable[Event]) -> bytes:
        return b"".join([self._event(kind, **members) for kind, members in events])

    def _event(self, kind: str, **members: object) -> bytes:
        number, silent_to = self.state[:2]
        still = silent_to if silent_to > number else -1
        self.state = self.state._replace(number=number + 1, silent_to=still)
        if number <= silent_to:
            return b""
        return frame(kind, {"type": kind, **members, "sequence_number": number})
