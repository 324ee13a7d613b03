"""What processes tell each other about a run: entries of its log, and now and then all of it, the base.

Both carry positions in the text, so that whoever has one part can tell what it lacks.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from chatorch.adapters.redis.link import RedisLink
from chatorch.adapters.redis.scripts import DISOWN, Command
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.run import (
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunInterrupted,
    RunStarted,
    TerminalEvent,
    position_after,
)

LIVE_MS = 3_600_000
ENDED_MS = 60_000
LAST_SEQ = 2**52
"""Beyond every position. Whatever comes after it in the same epoch is refused."""

_TERMINALS: dict[str, type[TerminalEvent]] = {
    event.__name__: event for event in (RunCompleted, RunFailed, RunCancelled, RunInterrupted)
}


class Entry(msgspec.Struct, array_like=True, gc=False):
    """Text that begins after position `begins`, the end where `kind` names one; or `gone`: only the row knows."""

    epoch: int
    begins: int
    text: str = ""
    kind: str = ""
    terminal: bytes = b""
    gone: bool = False


class Base(msgspec.Struct, array_like=True, gc=False):
    """A run's start, and all its text at some time."""

    epoch: int
    started: RunStarted
    text: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What Redis has of a run: what to begin with, and what follows it."""

    base: Base | None
    entries: list[Entry] = field(default_factory=list)

    def text(self) -> str | None:
        """All text, unless the run is gone or nothing is known of it."""
        if self.base is None or any(entry.gone for entry in self.entries):
            return None
        text = self.base.text
        for entry in self.entries:
            tip = position_after(text)
            if entry.epoch == self.base.epoch and entry.begins <= tip:
                text += entry.text[tip - entry.begins :]
        return text


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


def entry_of(epoch: int, begins: int, text: str, terminal: TerminalEvent | None) -> Entry:
    if terminal is None:
        return Entry(epoch, begins, text)
    return Entry(epoch, begins, text, type(terminal).__name__, encode(terminal))


def terminal_of(entry: Entry) -> TerminalEvent | None:
    return msgspec.msgpack.decode(entry.terminal, type=_TERMINALS[entry.kind]) if entry.kind else None


def reading(link: RedisLink, run_id: RunId) -> tuple[Command, Command]:
    """Two commands, in this order: what is trimmed between them is in the base, which is read last."""
    return ("XRANGE", log_key(link, run_id), "-", "+"), ("GET", base_key(link, run_id))


def stored_of(log: list[tuple[bytes, dict[bytes, bytes]]], base: bytes | None) -> Stored:
    """From the answers to `reading`."""
    return Stored(_decode_base(base) if base else None, [decode_entry(fields[b"e"]) for _, fields in log])


def disowning(link: RedisLink, run_id: RunId, epoch: int, life_ms: int) -> Command:
    """Tells all who follow the run to read its row; nobody of this epoch or an earlier one is listened to any more."""
    entry: Any = encode(Entry(epoch, LAST_SEQ, gone=True))
    keys = [log_key(link, run_id), base_key(link, run_id)]
    return DISOWN(keys, epoch, LAST_SEQ, entry, life_ms, channel(link, run_id))
