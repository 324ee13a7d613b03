"""How a run's events look on a wire: a dialect's `EventEncoder`, and the sharing of what it encodes."""

from abc import abstractmethod
from collections.abc import Hashable
from typing import Protocol
from weakref import WeakValueDictionary

from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.run import RunEvent


class EventEncoder(Protocol):
    """What one follower of one run is sent. It does no I/O, asks no clock, and makes no ids.

    `state` is all that the next frame depends on, beside the run and the event: None in a dialect that tells each event
    by itself, else a value, such as the block that is open. `encode` sets it.
    """

    state: Hashable = None

    @property
    def dialect(self) -> Hashable:
        """Those of one dialect encode alike from one state on: by default all of a class."""
        return type(self)

    @abstractmethod
    def encode(self, event: RunEvent) -> bytes:
        """All that is sent of an event; empty where the dialect has no words for it."""
        ...

    @abstractmethod
    def keep_alive(self) -> bytes:
        """What shows that the connection lives, and says nothing; empty where the wire has signs of its own."""
        ...

    @abstractmethod
    def end(self) -> bytes:
        """What comes behind the terminal event, such as a mark of the end; mostly empty."""
        ...

    def cut_off(self) -> bytes:
        """What is told in place of the rest to who may hear no more; empty where an end is enough."""
        return b""


class _Latest:
    """What was encoded last of a run, and the states before and after it."""

    __slots__ = ("__weakref__", "after", "before", "event", "frame")

    def __init__(self) -> None:
        self.event: RunEvent | None = None
        self.before: Hashable = None
        self.after: Hashable = None
        self.frame = b""


class EventFrames:
    """The latest frame of each run that is followed, in each dialect: however many stand at the same place, an event
    is encoded once."""

    def __init__(self) -> None:
        self._latest: WeakValueDictionary[tuple[RunId, Hashable], _Latest] = WeakValueDictionary()

    def shared(self, run_id: RunId, encoder: EventEncoder) -> EventEncoder:
        """`encoder`, of one more follower, so that it takes what has been encoded already."""
        key = run_id, encoder.dialect
        latest = self._latest.get(key)
        if latest is None:
            latest = self._latest[key] = _Latest()
        return _Shared(encoder, latest)


class _Shared(EventEncoder):
    def __init__(self, encoder: EventEncoder, latest: _Latest) -> None:
        self._encoder = encoder
        self._latest = latest

    def encode(self, event: RunEvent) -> bytes:
        encoder, latest = self._encoder, self._latest
        before = encoder.state
        if latest.event is event and latest.before == before:
            encoder.state = latest.after
            return latest.frame
        frame = encoder.encode(event)
        latest.event, latest.before, latest.after, latest.frame = event, before, encoder.state, frame
        return frame

    def keep_alive(self) -> bytes:
        return self._encoder.keep_alive()

    def end(self) -> bytes:
        return self._encoder.end()

    def cut_off(self) -> bytes:
        return self._encoder.cut_off()
