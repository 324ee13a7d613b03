"""What an answer says as parts, one open at a time, whatever a provider interleaves."""

from collections import deque
from dataclasses import replace

from chatorch.adapters.models.openai.calls import Call, CallPiece, Calls
from chatorch.adapters.models.openai.said import Spoken
from chatorch.adapters.models.openai.sources import Source, Sources
from chatorch.adapters.models.openai.storable import Halves
from chatorch.adapters.models.openai.thoughts import Thoughts
from chatorch.domain.model.parts import NOTHING, Facts, PartKind
from chatorch.domain.model.text import blank
from chatorch.ports.chat_model import PartEnd, PartStart

Piece = str | PartStart | PartEnd

MAX_HELD_CHARS = 1_000_000
"""How much may be held back. What has been told is counted by who hears it."""
_TAG, _END_TAG = "<thought>", "</thought>"
"""Gemini's, around what it says to be reasoning."""
EACH = 64
"""What a thing that is held back takes beside its words."""


class Parts:
    """`pieces` are what is to be told now. `open` is the kind of the open part, None between two.

    Text and reasoning are told as they come. The arguments of a call are, while it is that call's turn: what comes
    before they are whole waits, and so do other calls. Sources wait for the end, so that they do not cut the text in
    two. What nobody could see waits for something that can be seen, unless its part is open already.
    """

    __slots__ = (
        "_blanks", "_call", "_calls", "_first", "_halves", "_sources", "_tagged", "_thoughts", "_waiting", "dropped",
        "held", "open", "pieces",
    )  # fmt: skip

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.open: PartKind | None = PartKind.TEXT
        self.held = 0
        self.dropped = 0
        self._first = True
        self._tagged = False
        self._halves = {PartKind.TEXT: Halves(), PartKind.REASONING: Halves()}
        self._blanks: dict[PartKind, list[str]] = {PartKind.TEXT: [], PartKind.REASONING: []}
        self._thoughts = Thoughts()
        self._calls = Calls()
        self._call: Call | None = None
        self._waiting: deque[Spoken | Call] | None = None  # 800 bytes, and hardly any answer makes anything wait
        self._sources = Sources()

    @property
    def flowing(self) -> PartKind | None:
        """The kind of which more may be appended as it is: nothing waits before it."""
        kind = self.open
        waits = self._call is not None or kind not in self._halves or self._halves[kind].half
        return None if waits else kind

    @property
    def overflow(self) -> bool:
        """Whether a provider makes us hold back too much."""
        return self.held > MAX_HELD_CHARS

    def append(self, text: str) -> None:
        """More of the part that is open, and of its kind."""
        self._thoughts.worded = self._thoughts.worded or self.open is PartKind.REASONING
        self._append(text)

    def _append(self, text: str) -> None:
        if self.open is PartKind.REASONING:
            self._thoughts.body.append(text)
        if self.pieces and isinstance(self.pieces[-1], str):
            self.pieces[-1] += text
        else:
            self.pieces.append(text)

    def taken(self) -> list[Piece]:
        pieces, self.pieces = self.pieces, []
        return pieces

    # -- saying ----------------------------------------------------------------------------------------------------

    def say(self, spoken: Spoken) -> None:
        if self._call is None:
            self._speak(spoken)
            return
        self._wait(spoken)
        self.held += EACH + len(spoken.text)
        self._take_turns()

    def _speak(self, spoken: Spoken) -> None:
        if spoken.thought:
            if spoken.tagged and not self._tagged:
                spoken = replace(spoken, text=spoken.text.removeprefix(_TAG))
            self._tagged = spoken.tagged
            self._think(spoken)
        else:
            text = spoken.text.removeprefix(_END_TAG) if self._tagged else spoken.text
            self._tagged = self._tagged and not spoken.text
            self._tell(PartKind.TEXT, text)

    def _think(self, spoken: Spoken) -> None:
        thoughts = self._thoughts
        if self.open is PartKind.REASONING and thoughts.begins_another(spoken):
            self._end()
        text = thoughts.news(spoken, is_open=self.open is PartKind.REASONING)
        if spoken.detail is not None:
            self.held += thoughts.keep(spoken.detail)
        self._tell(PartKind.REASONING, text)

    def _tell(self, kind: PartKind, text: str) -> None:
        text = self._halves[kind].take(text)
        if not text:
            return
        if self.open is not kind:
            if blank(text):
                self._blanks[kind].append(text)
                self.held += EACH + len(text)
                return
            text = "".join([*self._blanks[kind], text])
            self._blanks[kind].clear()
            self._begin(kind)
        self._append(text)

    def cite(self, source: Source) -> None:
        if news := self._sources.add(source):
            self.held += EACH + news

    # -- calling ---------------------------------------------------------------------------------------------------

    @property
    def calls(self) -> int:
        """How many calls there have been."""
        return len(self._calls)

    def call(self, piece: CallPiece) -> None:
        self._add(self._calls.of(piece), piece)

    def call_again(self, position: int, piece: CallPiece) -> None:
        """A call of a whole message: what an earlier one, or deltas, said of it is not said again."""
        call = self._calls.at(position)
        if call is None:
            self.call(piece)
            return
        told = "".join(call.told)
        if len(piece.arguments) > len(told) and piece.arguments.startswith(told):
            self._add(call, replace(piece, arguments=piece.arguments[len(told) :]))

    def _add(self, call: Call, piece: CallPiece) -> None:
        if call.closed:
            self.dropped += bool(piece.arguments.strip())
            return
        size = call.add(piece)
        if not call.waits:
            call.waits = True
            self.held += EACH
            self._wait(call)
            self._take_turns()
        if call is self._call:
            self._go_on(call)
            size -= len(piece.arguments)
        self.held += size

    def _wait(self, each: Spoken | Call) -> None:
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(each)

    def _take_turns(self) -> None:
        """Ends the call whose turn it was, if it is whole, and tells what waited, up to the next that is not whole."""
        waiting = self._waiting
        while waiting and (self._call is None or self._call.complete):
            self._hang_up()
            each = waiting.popleft()
            if isinstance(each, Spoken):
                self._speak(each)
            else:
                self._call = each
                self._go_on(each)

    def _go_on(self, call: Call) -> None:
        """Tells what came of the call whose turn it is. Its name may come in pieces, until its arguments begin."""
        text = call.taken()
        if text:
            self._open(call)
            self._append(text)

    def _open(self, call: Call) -> None:
        if not call.started:
            call.started = True
            self._begin(PartKind.TOOL_CALL, call.head)

    def _hang_up(self) -> None:
        """Ends the open call, if one is."""
        call, self._call = self._call, None
        if call is not None:
            self._open(call)
            self._append_rest(call.rest())
            call.closed = True
            self._end({"details": call.opaque} if call.opaque else NOTHING)

    # -- beginning and ending --------------------------------------------------------------------------------------

    def _begin(self, kind: PartKind, head: Facts = NOTHING) -> None:
        self._end()
        self.pieces.append(PartStart(kind, head))
        self.open = kind
        if kind is PartKind.REASONING:
            self._thoughts.body.clear()

    def _end(self, result: Facts = NOTHING) -> None:
        if self.open is PartKind.REASONING:
            self._append_rest(self._halves[PartKind.REASONING].rest())
            result = self._thoughts.result()
        if self.open is not None and not self._first:
            self.pieces.append(PartEnd(result))
        self._first = False
        self.open = None

    def release(self) -> None:
        """Tells what waited for more, when no more comes. The last part stays open."""
        while self._waiting:
            self._hang_up()
            self._take_turns()
        if self._call is not None:
            self._open(self._call)
            self._append_rest(self._call.rest())
        elif self.open is PartKind.REASONING:
            self._append_rest(self._halves[PartKind.REASONING].rest())
        if rest := self._halves[PartKind.TEXT].rest():
            self._hang_up()
            self._tell(PartKind.TEXT, rest)

    def settle(self, *, whole: bool) -> None:
        """What belongs to the end: sources, and what of the reasoning came after it. `whole`: nothing stays open."""
        self.release()
        sources = self._sources.taken()
        late = self._thoughts.opaque and self.open is not PartKind.REASONING
        if whole or sources or late:
            self._hang_up()
            self._end()
        if late:
            self._begin(PartKind.REASONING)
            self._end()
        for source in sources:
            self._begin(PartKind.SOURCE, source)
            self._end()

    def _append_rest(self, rest: str) -> None:
        if rest:
            self._append(rest)
