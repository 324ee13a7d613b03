"""Notices on their way from one process to the others."""

import msgspec

from chatorch.domain.model.presence import Announcement, Notice, PresenceChanged, RunBegan

_KINDS: dict[str, type[Notice]] = {kind.__name__: kind for kind in (RunBegan, PresenceChanged, Announcement)}

_encode = msgspec.msgpack.Encoder().encode


class Told(msgspec.Struct, array_like=True):
    """A notice, the process that told it and its number there, and the device that it is not for (or nothing)."""

    process: str
    number: int
    besides: str
    kind: str
    body: bytes

    def notice(self) -> Notice:
        return msgspec.msgpack.decode(self.body, type=_KINDS[self.kind])


decode_told = msgspec.msgpack.Decoder(Told).decode


def told_bytes(process: str, number: int, besides: str, notice: Notice) -> bytes:
    return _encode(Told(process, number, besides, type(notice).__name__, _encode(notice)))
