"""Presence events on their way from one process to the others."""

import msgspec

from chatorch.domain.model.presence import Announcement, PresenceChanged, PresenceEvent, RunBegan

_KINDS: dict[str, type[PresenceEvent]] = {kind.__name__: kind for kind in (RunBegan, PresenceChanged, Announcement)}

_encode = msgspec.msgpack.Encoder().encode


class Told(msgspec.Struct, array_like=True):
    """An event, the process that told it and its number there, and the device that it is not for (or nothing)."""

    process: str
    number: int
    besides: str
    kind: str
    body: bytes

    def event(self) -> PresenceEvent:
        return msgspec.msgpack.decode(self.body, type=_KINDS[self.kind])


decode_told = msgspec.msgpack.Decoder(Told).decode


def told_bytes(process: str, number: int, besides: str, event: PresenceEvent) -> bytes:
    return _encode(Told(process, number, besides, type(event).__name__, _encode(event)))
