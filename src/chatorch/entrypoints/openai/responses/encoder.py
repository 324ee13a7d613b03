"""A run as the streamed events of a response, each with its number.

Events, their numbers and the places where texts are cut are a function of what the run says, and of nothing else: so a
replay tells the same under the same numbers, from any number on, on any worker, at any time. It is this encoder from
the run's beginning, which says nothing up to that number.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from chatorch.domain.model.content import START, PartDelta, PartEnded, PartStarted, Snapshot
from chatorch.domain.model.errors import InvalidToken
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import RunEvent, RunInterrupted, RunStarted, TerminalEvent
from chatorch.entrypoints.common.cuts import cut
from chatorch.entrypoints.common.event_encoder import EventEncoder
from chatorch.entrypoints.common.failures import domain_failure
from chatorch.entrypoints.common.pumped import PING
from chatorch.entrypoints.openai.errors import OPENAI_ERRORS
from chatorch.entrypoints.openai.responses.items import (
    COMPLETED,
    IN_PROGRESS,
    SAID,
    Item,
    annotation,
    item_at,
)
from chatorch.entrypoints.openai.responses.view import ResponseView, ended_as, item_status

Members = dict[str, object]

_DELTAS = {
    PartKind.TEXT: "response.output_text.delta",
    PartKind.REASONING: "response.reasoning_text.delta",
}
_TERMINAL_TYPES = {COMPLETED: "response.completed", "failed": "response.failed"}
"""There is none for what is cancelled: it is incomplete, and its status says why."""

_encode = msgspec.json.Encoder().encode
_made = tuple.__new__
"""Of a named tuple: two thirds of the time of calling it, once a token."""


class _Said:
    """The text of an item, as far as any follower was told it: all of them are told the same, and add what is new."""

    __slots__ = ("chars", "pieces")

    def __init__(self, text: str = "") -> None:
        self.pieces = [text]
        self.chars = len(text)

    def add(self, at: int, text: str) -> None:
        """What stands behind so many characters, of which others may have said a part, or all."""
        if (new := at + len(text) - self.chars) > 0:
            self.pieces.append(text[-new:])
            self.chars += new

    def upto(self, chars: int) -> str:
        self.pieces = ["".join(self.pieces)]
        return self.pieces[0][:chars]


@dataclass(frozen=True, slots=True)
class _Open:
    """The item that is being said."""

    item: Item
    kind: PartKind
    place: int
    form: bytes = field(compare=False)
    said: _Said = field(compare=False)


class _State(NamedTuple):
    """`number` is that of the next event, and nothing is sent up to `silent_to` (-1 once that is past). `held` is the
    text that is not cut yet, `told` how many characters of the open item are, `done` are the items before it."""

    number: int = 0
    silent_to: int = -1
    held: str = ""
    told: int = 0
    open: _Open | None = None
    done: tuple[bytes, ...] = ()


class _Over(_State):
    """There is nothing more to say."""


class ResponsesEncoder(EventEncoder):
    """Says nothing up to the number `after`.

    The numbers of an attempt begin where its positions do (`EPOCH_SPAN`): whoever knows those of an earlier one is told
    all of it, from `response.created` on. A snapshot is taken as a replay: what has been said is not said again. Where
    less of the run was kept than has been said, as a worker's death may do it, only the end is still to be said, under
    the next number.
    """

    def __init__(self, view: ResponseView, after: int = -1) -> None:
        self.state: _State = _State(silent_to=after)
        self._view = view
        self._after = after

    def encode(self, event: RunEvent) -> bytes:
        if isinstance(event, PartDelta):  # first, because it is nearly always one
            return self._say(event)
        match event:
            case PartStarted():
                return self._start(event.index, event.part)
            case PartEnded():
                return self._end_part(event.part.kind)
            case RunStarted():
                self.state = self.state._replace(number=event.seq - START)
                return self._begin()
            case Snapshot():
                return self._again(event)
        return self._end(event)

    def keep_alive(self) -> bytes:
        return PING

    def end(self) -> bytes:
        return b""

    def cut_off(self) -> bytes:
        """An `error`, which OpenAI's libraries raise by its name, or by a member of that name: a stream that only ended
        would be taken for an answer. It has the number of the last event, so that who comes back by it misses none."""
        state = self.state
        if isinstance(state, _Over):
            return b""
        error = OPENAI_ERRORS.error(domain_failure(InvalidToken()))
        told = {name: error[name] for name in ("code", "message", "param")}
        number = max(state.number - 1, state.silent_to)
        return _frame("error", {"type": "error", **told, "sequence_number": number, "error": error})

    # -- text ------------------------------------------------------------------------------------------------------

    def _say(self, event: PartDelta) -> bytes:
        number, silent_to, held, before, item, done = self.state
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
            self.state = _made(_State, (number + 1, silent_to, held, told, item, done))
            return item.form % (_encode(piece), number)
        if pieces:
            return self._tell(item, pieces, held)
        self.state = _made(_State, (number, silent_to, held, before, item, done))
        return b""

    def _say_first(self, event: PartDelta) -> bytes:
        """Of an item, where there is one of this kind."""
        if event.kind not in SAID or not event.text:
            return b""
        return self._open(item_at(self._view.run_id, event.index, event.kind)) + self._say(event)

    def _tell(self, item: _Open, pieces: list[str], held: str) -> bytes:
        number, silent_to, _, before, _, done = self.state
        text = "".join(pieces)
        item.said.add(before, text)
        end = number + len(pieces)
        still = silent_to if silent_to >= end else -1
        self.state = _State(end, still, held, before + len(text), item, done)
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

    # -- parts and items -------------------------------------------------------------------------------------------

    def _start(self, index: int, part: Part) -> bytes:
        told = self._flush()
        kind = part.kind
        if kind is PartKind.SOURCE:
            if self.state.open is None:
                told += self._open(item_at(self._view.run_id, index, PartKind.TEXT))
            return told + self._annotate(part)
        if kind is PartKind.TEXT or kind not in SAID:
            return told
        return told + self._close(COMPLETED) + self._open(item_at(self._view.run_id, index, kind))

    def _end_part(self, kind: PartKind) -> bytes:
        """A message goes on: other texts may follow."""
        told = self._flush()
        return told if kind is PartKind.TEXT or kind not in SAID else told + self._close(COMPLETED)

    def _open(self, item: Item) -> bytes:
        state = self.state
        place = len(state.done)
        where: Members = {"item_id": item.id, "output_index": place, "content_index": 0}
        new = _Open(item, item.kind, place, _delta_form(item.kind, where), _Said())
        self.state = state._replace(held="", told=0, open=new)
        told = self._event("response.output_item.added", output_index=place, item=item.view("", IN_PROGRESS))
        return told + self._event("response.content_part.added", **where, part=item.content_part(""))

    def _annotate(self, part: Part) -> bytes:
        if (now := self.state.open) is None:
            return b""
        said = annotation(part.head, self.state.told)
        count = len(now.item.annotations)
        item = replace(now.item, annotations=(*now.item.annotations, said))
        self.state = self.state._replace(open=replace(now, item=item))
        where: Members = {"item_id": item.id, "output_index": now.place, "content_index": 0}
        return self._event("response.output_text.annotation.added", **where, annotation_index=count, annotation=said)

    def _close(self, status: str) -> bytes:
        told = self._flush()
        if (now := self.state.open) is None:
            return told
        item, text = now.item, self._text()
        where: Members = {"item_id": item.id, "output_index": now.place, "content_index": 0}
        if item.kind is PartKind.REASONING:
            told += self._event("response.reasoning_text.done", **where, text=text)
        else:
            told += self._event("response.output_text.done", **where, text=text, logprobs=[])
        told += self._event("response.content_part.done", **where, part=item.content_part(text))
        whole = _encode(item.view(text, status))
        self.state = self.state._replace(held="", told=0, open=None, done=(*self.state.done, whole))
        return told + self._event("response.output_item.done", output_index=now.place, item=msgspec.Raw(whole))

    # -- beginning and end -----------------------------------------------------------------------------------------

    def _begin(self) -> bytes:
        begun = self._view.begun()
        return self._event("response.created", response=begun) + self._event("response.in_progress", response=begun)

    def _again(self, snapshot: Snapshot) -> bytes:
        state, begins = self.state, snapshot.seq - snapshot.content.tip
        self.state = _State(begins, silent_to=max(state.silent_to, state.number - 1))
        told = [self._begin()]
        told.extend(self.encode(event) for event in snapshot.content.since(START))
        return b"".join(told)

    def _end(self, terminal: TerminalEvent) -> bytes:
        status, _ = ended_as(terminal)
        if (now := self.state.open) is not None:
            # What is held ends here for this follower alone: others may know of more.
            self.state = self.state._replace(open=replace(now, said=_Said(self._text())))
        told = self._close(item_status(status))
        number, silent_to = self.state.number, self.state.silent_to
        if number <= silent_to:
            has_it = number == silent_to == self._after and not isinstance(terminal, RunInterrupted)
            if has_it:
                self.state = _Over(*self.state)
                return b""
            self.state = self.state._replace(number=silent_to + 1)
        response = self._view.ended(terminal, [msgspec.Raw(item) for item in self.state.done])
        told += self._event(_TERMINAL_TYPES.get(status, "response.incomplete"), response=response)
        self.state = _Over(*self.state)
        return told

    def _event(self, kind: str, **members: object) -> bytes:
        number, silent_to = self.state[:2]
        still = silent_to if silent_to > number else -1
        self.state = self.state._replace(number=number + 1, silent_to=still)
        if number <= silent_to:
            return b""
        return _frame(kind, {"type": kind, **members, "sequence_number": number})


def _frame(kind: str, data: Members) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode(data))


def _delta_form(kind: PartKind, where: Members) -> bytes:
    """What `%` makes an event of a piece of text with, `_encode`d, and its number."""
    name = _DELTAS[kind]
    logprobs = b',"logprobs":[]' if kind is PartKind.TEXT else b""
    head = _encode({"type": name, **where})[:-1].replace(b"%", b"%%")
    return b"event: %b\ndata: %b" % (name.encode(), head) + b',"delta":%b' + logprobs + b',"sequence_number":%d}\n\n'
