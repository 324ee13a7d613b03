"""The content of a message: where each of its parts lies, and the one fold over what is told of them.

A message is an ordered list of parts, of which only the last may be open. A part has a head, which is known when it
begins, a body of text, which is appended to, and a result, which is known when it ends. Heads and results never change.

Every position is a place between two facts. A head is one further, each code point of a body is, and an end is. Part 0
is a text part whose head is the run's own start (position 1) and which has no end of its own; so a message that is
nothing but text lies at ``1 + len(text)``. Whoever knows the content knows every position: a resume at any of them is a
slice, and what comes before a position and what comes after it are together what is stored.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

from chatorch.domain.model.parts import NOTHING, Facts, Part, PartKind

START = 1
"""The position of a message that has begun and says nothing yet."""

PIECE_CHARS = 4096
"""A longer text is told in pieces: nobody need hold it all, and a client library may take no frame over 1 MiB."""

# -- events --------------------------------------------------------------------------------------------------------


@dataclass(slots=True, unsafe_hash=True)
class PartDelta:
    """Text to append to the body of the part `index`. `seq` is the position after it.

    As frozen as all others, but by word only: one is made for every token, and to be held to it would cost 0.8 µs.
    """

    seq: int
    text: str
    index: int = 0
    kind: PartKind = PartKind.TEXT


@dataclass(frozen=True, slots=True)
class PartStarted:
    """The part `index` begins; `part` has its kind and its head, and nothing else yet."""

    seq: int
    index: int
    part: Part


@dataclass(frozen=True, slots=True)
class PartEnded:
    """The part `index` is whole; `part` has all of it but its body, which has been told."""

    seq: int
    index: int
    part: Part


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content from its beginning, to replace what the client has. `seq` is the position after it."""

    seq: int
    content: "Content"

    @property
    def text(self) -> str:
        return self.content.text


ContentEvent = PartDelta | PartStarted | PartEnded | Snapshot


@dataclass(frozen=True, slots=True)
class Content:
    """What a message holds. The first part is always a text part, mostly the only one."""

    parts: tuple[Part, ...] = (Part(PartKind.TEXT),)

    @classmethod
    def of(cls, text: str) -> "Content":
        """Nothing but text."""
        return cls((Part(PartKind.TEXT, body=text),))

    @property
    def tip(self) -> int:
        """The position after all of it."""
        return START + sum(_length(index, part) for index, part in enumerate(self.parts))

    @property
    def text(self) -> str:
        """All its text parts as one text."""
        if len(self.parts) == 1:
            return self.parts[0].body
        return "".join(part.body for part in self.parts if part.kind is PartKind.TEXT)

    @property
    def text_only(self) -> bool:
        return len(self.parts) == 1

    @property
    def weight(self) -> int:
        """How many code points all bodies have."""
        return sum(len(part.body) for part in self.parts)

    def shown(self) -> Iterator[tuple[int, Part]]:
        """The parts with their indexes, without an empty first one."""
        numbered = enumerate(self.parts)
        return (each for each in numbered if each[0] or each[1].body)

    def since(self, after: int) -> Iterator[ContentEvent]:
        """What follows the position `after`, told in pieces; nothing beyond the tip."""
        draft = Draft(self)
        while (event := draft.next_after(after)) is not None:
            yield event
            after = event.seq

    def upto(self, position: int) -> "Content":
        """What comes before a position."""
        draft = Draft()
        for event in self.since(START):
            if event.seq > position:
                if isinstance(event, PartDelta) and (left := len(event.text) - (event.seq - position)) > 0:
                    draft.append(event.text[:left])
                break
            draft.apply(event)
        return draft.content()


def fresher(one: Content, other: Content) -> Content:
    """Of two copies of one content the one that goes further: the greater tip wins, the first where they are equal."""
    return other if goes_beyond(other, one.tip) else one


def goes_beyond(content: Content, tip: int) -> bool:
    """Whether it is fresher than a copy of it that ends at `tip`."""
    return content.tip > tip


class Draft:
    """Content that grows: the fold of its events.

    Appending is a list append, and whoever stands at the tip is told the last piece as it is. All positions are counted
    from `base`.
    """

    __slots__ = ("_begins", "_head", "_open_at", "_parts", "_tail", "base", "tip")

    def __init__(self, content: Content | None = None, base: int = 0) -> None:
        self.base = base
        self._load(content or Content())

    def _load(self, content: Content) -> None:
        # The body of the last part stands in `_head` and `_tail` as long as it is open.
        *ended, last = content.parts
        self._parts = [*ended, last if last.closed else replace(last, body="")]
        self._head = "" if last.closed else last.body
        self._tail: list[str] = []
        self._begins: list[int] = []
        at = self.base + START
        for index, part in enumerate(content.parts):
            self._begins.append(at + (index > 0))
            at += _length(index, part)
        self.tip = at
        self._open_at = at if last.closed else self._begins[-1]

    # -- growing ---------------------------------------------------------------------------------------------------

    def append(self, text: str) -> None:
        """Raises `ValueError` where no part is open."""
        if self._parts[-1].closed:
            raise ValueError("text came between two parts")
        self._tail.append(text)
        self.tip += len(text)

    def start(self, kind: PartKind, head: Facts = NOTHING) -> None:
        """Raises `ValueError` while a part is open; the first one ends by this."""
        last = self._parts[-1]
        if len(self._parts) == 1:
            self._parts[0] = replace(last, body=self._whole())
        elif not last.closed:
            raise ValueError("a part began while another was open")
        self._parts.append(Part(kind, head))
        self._head, self._tail = "", []
        self.tip += 1
        self._begins.append(self.tip)
        self._open_at = self.tip

    def end(self, result: Facts = NOTHING) -> None:
        """Raises `ValueError` where no part is open but the first, which has no end."""
        last = self._parts[-1]
        if len(self._parts) == 1 or last.closed:
            raise ValueError("a part ended that was not open")
        self._parts[-1] = replace(last, body=self._whole(), result=result, closed=True)
        self._head, self._tail = "", []
        self.tip += 1
        self._open_at = self.tip

    def apply(self, event: ContentEvent) -> None:
        """Takes what was told: events of one position after the other."""
        match event:
            case PartDelta():
                self.append(event.text)
            case PartStarted():
                self.start(event.part.kind, event.part.head)
            case PartEnded():
                self.end(event.part.result)
            case Snapshot():
                self.base = event.seq - event.content.tip
                self._load(event.content)

    # -- reading ---------------------------------------------------------------------------------------------------

    def content(self) -> Content:
        last = self._parts[-1]
        return Content(tuple(self._parts) if last.closed else (*self._parts[:-1], replace(last, body=self._whole())))

    def text(self) -> str:
        """All text parts as one text."""
        return self.content().text

    def part(self, index: int) -> Part:
        """The part as far as it is known; cheaper than looking for it in `content`."""
        part = self._parts[index]
        is_open = index == len(self._parts) - 1 and not part.closed
        return replace(part, body=self._whole()) if is_open else part

    @property
    def open_chars(self) -> int:
        """How long the body of the open part is."""
        return self.tip - self._open_at

    def next_after(self, position: int) -> PartDelta | PartStarted | PartEnded | None:
        """What comes next, at most `PIECE_CHARS` of a body; None at the tip. Of a position before the first: `base`."""
        if position >= self.tip:
            return None
        if position >= self._open_at:
            index, tail = len(self._parts) - 1, self._tail
            # Whoever follows stands before the last piece, nearly always.
            last = tail[-1] if tail else ""
            text = last if len(last) == self.tip - position <= PIECE_CHARS else self._since(position)
            return PartDelta(position + len(text), text, index, self._parts[index].kind)
        return self._earlier(position)

    def _earlier(self, position: int) -> PartDelta | PartStarted | PartEnded:
        """In a part that is not the open one, or at its head."""
        index = max(bisect_right(self._begins, position) - 1, 0)
        part, begins = self._parts[index], self._begins[index]
        ends = begins + len(part.body)
        if position < ends:
            text = part.body[position - begins : position - begins + PIECE_CHARS]
            return PartDelta(position + len(text), text, index, part.kind)
        if position == ends and part.closed:
            return PartEnded(position + 1, index, replace(part, body=""))
        following = self._parts[index + 1]
        return PartStarted(position + 1, index + 1, Part(following.kind, following.head))

    def _whole(self) -> str:
        if self._tail:
            self._head += "".join(self._tail)
            self._tail.clear()
        return self._head

    def _since(self, position: int) -> str:
        """Of the open body what follows a position, looking from the end, where followers usually are."""
        if self.tip - position > PIECE_CHARS:
            start = position - self._open_at
            # As long as the head has it, what has come since is not joined to it: that copies all.
            head = self._head if len(self._head) >= start + PIECE_CHARS else self._whole()
            return head[start : start + PIECE_CHARS]
        tail = self._tail
        begins = self.tip
        for index in range(len(tail) - 1, -1, -1):
            begins -= len(tail[index])
            if begins <= position:
                return "".join(tail[index:])[position - begins :]
        return self._whole()[position - self._open_at :]


def _length(index: int, part: Part) -> int:
    return len(part.body) + ((1 + part.closed) if index else 0)
