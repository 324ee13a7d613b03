"""A UI message stream as chunks with numbers, as `WebSocketChatTransport` takes them: from 0 on, and none left out."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import msgspec

from chatorch.domain.model.content import START, PartDelta, Snapshot
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import RunEvent, RunStarted, Silence
from chatorch.entrypoints.ai_sdk.chunks import NOT_YET, Chunk, UiChunks
from chatorch.entrypoints.ai_sdk.turn_before import NOTHING_BEFORE, Before

VERSION = 7
"""Of the client: `ai` 6 has no such transport."""

_DELTAS = {
    PartKind.TEXT: b'{"type":"text-delta","id":"%d","delta":%b}',
    PartKind.REASONING: b'{"type":"reasoning-delta","id":"%d","delta":%b}',
}

_encode = msgspec.json.Encoder().encode


class NumberedChunks:
    """Frames for one request. A number says how many came before on this connection, and nothing of where in the
    answer its chunk stands: whoever has those up to the number `after` is told, behind that, that the step begins anew.
    """

    def __init__(self, request_id: str, run_id: RunId, after: int = -1, before: Before = NOTHING_BEFORE) -> None:
        head = _encode({"type": "chunk", "requestId": request_id})[:-1].replace(b"%", b"%%")
        self._form = head + b',"sequence":%d,"chunk":%b}'
        self._chunks = UiChunks(run_id, VERSION, before)
        self._number = 0
        self._after = after

    def frames(self, event: RunEvent) -> Iterator[bytes]:
        if type(event) is PartDelta and (kind := self._chunks.grows(event)) is not None:  # as nearly always
            yield self._form % (self._number, self._delta(kind, event))
            self._number += 1
            return
        yield from self._numbered(self._chunks.chunks(event))
        if isinstance(event, RunStarted) and self._number <= self._after:
            self._number = self._after + 1
            yield from self._numbered(self._chunks.chunks(Snapshot(event.seq, NOT_YET)))

    def _delta(self, kind: PartKind, event: PartDelta) -> bytes:
        return _DELTAS[kind] % (event.index + self._chunks.offset, _encode(event.text))

    def _numbered(self, chunks: Iterator[Chunk]) -> Iterator[bytes]:
        for number, chunk in enumerate(chunks, self._number):
            self._number = number + 1
            if number > self._after:
                yield self._form % (number, _encode(chunk))


async def spread(told: AsyncGenerator[RunEvent | Silence]) -> AsyncGenerator[RunEvent | Silence]:
    """The events, and of a snapshot what is in it, piece by piece: each of them becomes a few frames."""
    async with aclosing(told) as events:
        async for event in events:
            if isinstance(event, Snapshot):
                yield Snapshot(event.seq, NOT_YET)
                for piece in event.content.since(START):
                    yield piece
            else:
                yield event
