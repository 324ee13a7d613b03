"""What a server sends, on its way to the session."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio
from mcp.client._transport import ReadStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse

from chatorch.adapters.tools.mcp.offers import Sieve
from chatorch.adapters.tools.mcp.redaction import Redaction


class Incoming:
    """A transport's stream of messages that tells of its end, whose lists of tools hold nothing but tools, and whose
    texts hold no credentials."""

    def __init__(
        self,
        stream: ReadStream[SessionMessage | Exception],
        sieve: Sieve,
        redaction: Redaction,
        ended: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._sieve = sieve
        self._redaction = redaction
        self._ended = ended

    async def receive(self) -> SessionMessage | Exception:
        try:
            item = await self._stream.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            self._ended()
            raise
        if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCResponse):
            listed = item.message.result.get("tools")
            if isinstance(listed, list):
                item.message.result["tools"] = self._sieve.sift(listed)
        if isinstance(item, SessionMessage):
            self._redaction.message(item.message)
        return item

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(kind, error, tb)
