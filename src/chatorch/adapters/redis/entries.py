"""What processes tell each other about a run: entries of its log, and now and then all of it, the base.

Both carry positions in the content, so that whoever has one part can tell what it lacks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec

from chatorch.adapters.redis.link import RedisLink
from chatorch.adapters.redis.scripts import FENCE, Command
from chatorch.domain.model.content import START, Content, Draft
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import (
    LastContent,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunInterrupted,
    RunStarted,
    TerminalEvent,
)

LIVE_MS = 3_600_000
ENDED_MS = 60_000
LAST_SEQ = 2**52
"""Beyond every position. Whatever comes after it in the same epoch is refused."""

_TERMINALS: dict[str, type[TerminalEvent]] = {
    event.__name__: event for event in (RunCompleted, RunFailed, RunCancelled, RunInterrupted)
}


class Head(msgspec.Struct, array_like=True, gc=False):
    """A part begins, or, where `kind` is empty, the one that is open ends."""

    kind: str
    facts: dict[str, Any]


Fact = Head | str


class Entry(msgspec.Struct, array_like=True, gc=False):
    """What follows position `begins`: text, and then `more`, heads and texts in turn; the end where `kind` names one.
    Or it is `over`: only the row knows.

    `gone` is what workers of the release before go by, which know no parts: to them an entry of a run that has any is
    a reason to read the row, for they would take its first text for the whole.
    """

    epoch: int
    begins: int
    text: str = ""
    kind: str = ""
    terminal: bytes = b""
    gone: bool = False
    more: tuple[Fact, ...] = ()

    @property
    def over(self) -> bool:
        return self.gone and self.begins == LAST_SEQ


class Base(msgspec.Struct, array_like=True, gc=False):
    """A run's start, and all its content at some time: its first text, and then heads and texts as in `Entry`."""

    epoch: int
    started: RunStarted
    text: str
    more: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """What Redis has of a run: what to begin with, and what follows it."""

    base: Base | None
    entries: list[Entry] = field(default_factory=list)

    def last_content(self) -> LastContent | None:
        """All content, unless the run is gone or nothing is known of it."""
        if self.base is None or any(entry.over for entry in self.entries):
            return None
        draft = Draft()
        for told in (entry_of_base(self.base), *self.entries):
            if told.epoch == self.base.epoch and told.begins <= draft.tip:
                for fact in facts_beyond(told, draft.tip):
                    match fact:
                        case str():
                            draft.append(fact)
                        case Head(kind="", facts=result):
                            draft.end(result)
                        case Head():
                            draft.start(PartKind(fact.kind), fact.facts)
        return LastContent(self.base.epoch, draft.content())


encode = msgspec.msgpack.Encoder().encode
decode_entry = msgspec.msgpack.Decoder(Entry).decode
_decode_base = msgspec.msgpack.Decoder(Base).decode


def log_key(link: RedisLink, run_id: RunId) -> str:
    return f"{link.prefix}run:{run_id}:log"


def base_key(link: RedisLink, run_id: RunId) -> str:
    return f"{link.prefix}run:{run_id}:base"


def watch_key(link: RedisLink, run_id: RunId) -> str:
    return f"{link.prefix}run:{run_id}:watch"


def channel(link: RedisLink, run_id: RunId) -> str:
    return f"{link.prefix}run:{run_id}"


def entry_of(
    epoch: int, begins: int, told: Sequence[Fact], terminal: TerminalEvent | None, *, parted: bool = False
) -> Entry:
    """`parted`: the run has other parts than its first text."""
    text, more = _apart(told)
    if terminal is None:
        return Entry(epoch, begins, text, gone=parted, more=more)
    return Entry(epoch, begins, text, type(terminal).__name__, encode(terminal), parted, more)


def base_of(epoch: int, started: RunStarted, content: Content) -> Base:
    first, *others = content.parts
    more: list[Fact] = []
    for part in others:
        more += [Head(part.kind.value, dict(part.head)), part.body]
        if part.closed:
            more.append(Head("", dict(part.result)))
    return Base(epoch, started, *_apart([first.body, *more]))


def entry_of_base(base: Base) -> Entry:
    return Entry(base.epoch, START, base.text, more=base.more)


def facts_beyond(entry: Entry, tip: int) -> Iterator[Fact]:
    """What an entry says beyond a position that it reaches."""
    at = entry.begins
    for fact in (entry.text, *entry.more):
        if isinstance(fact, str):
            if news := fact[max(tip - at, 0) :]:
                yield news
            at += len(fact)
        else:
            if at >= tip:
                yield fact
            at += 1


def _apart(told: Sequence[Fact]) -> tuple[str, tuple[Fact, ...]]:
    """The text that it begins with, and what follows; pieces of text that are neighbours become one."""
    facts: list[Fact] = [""]
    for texts, same in groupby(told, key=lambda fact: isinstance(fact, str)):
        if not texts:
            facts += same
        elif text := "".join(piece for piece in same if isinstance(piece, str)):
            if len(facts) == 1:
                facts[0] = text
            else:
                facts.append(text)
    return str(facts[0]), tuple(facts[1:])


def terminal_of(entry: Entry) -> TerminalEvent | None:
    return msgspec.msgpack.decode(entry.terminal, type=_TERMINALS[entry.kind]) if entry.kind else None


def reading(link: RedisLink, run_id: RunId) -> tuple[Command, Command]:
    """Two commands, in this order: what is trimmed between them is in the base, which is read last."""
    return ("XRANGE", log_key(link, run_id), "-", "+"), ("GET", base_key(link, run_id))


def stored_of(log: list[tuple[bytes, dict[bytes, bytes]]], base: bytes | None) -> Stored:
    """From the answers to `reading`."""
    return Stored(_decode_base(base) if base else None, [decode_entry(fields[b"e"]) for _, fields in log])


def fencing(link: RedisLink, run_id: RunId, epoch: int, life_ms: int) -> Command:
    """Tells all who follow the run to read its row; nobody of this epoch or an earlier one is listened to any more."""
    entry: Any = encode(Entry(epoch, LAST_SEQ, gone=True))
    keys = [log_key(link, run_id), base_key(link, run_id)]
    return FENCE(keys, epoch, LAST_SEQ, entry, life_ms, channel(link, run_id))
