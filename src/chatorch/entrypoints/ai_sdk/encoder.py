"""A UI message stream as server-sent events."""

from collections.abc import Hashable

import msgspec

from chatorch.domain.model.content import PartDelta
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import RunEvent
from chatorch.entrypoints.ai_sdk.chunks import At, UiChunks
from chatorch.entrypoints.common.event_encoder import EventEncoder
from chatorch.entrypoints.common.pumped import PING

NO_ACCESS = "You have no access any more. Sign in again to see the rest."
DONE = b"data: [DONE]\n\n"

_DELTAS = {
    PartKind.TEXT: b'data: {"type":"text-delta","id":"%d","delta":%b}\n\n',
    PartKind.REASONING: b'data: {"type":"reasoning-delta","id":"%d","delta":%b}\n\n',
}

_encode = msgspec.json.Encoder().encode


class UiStreamEncoder(UiChunks, EventEncoder):
    state: At

    @property
    def dialect(self) -> Hashable:
        return type(self), self.version, self.before.whole

    def encode(self, event: RunEvent) -> bytes:
        if type(event) is PartDelta and (kind := self.grows(event)) is not None:  # as nearly always
            return _DELTAS[kind] % (event.index + self.offset, _encode(event.text))
        return b"".join([b"data: %b\n\n" % _encode(chunk) for chunk in self.chunks(event)])

    def keep_alive(self) -> bytes:
        return PING

    def end(self) -> bytes:
        return DONE

    def cut_off(self) -> bytes:
        """Without it the client would take what came for the whole."""
        return b"data: %b\n\n" % _encode({"type": "error", "errorText": NO_ACCESS}) + DONE
