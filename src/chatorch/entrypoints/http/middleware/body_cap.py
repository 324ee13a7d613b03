"""No request body over the cap, however it is sent, and an answer that the client gets to read."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

LINGER_S = 2.0
LINGER_BYTES = 16 * 1024 * 1024


class BodyTooLarge(HTTPException):
    """Raised while the body is read, so it passes through FastAPI as what it is."""

    def __init__(self) -> None:
        super().__init__(413)


class CappedReceive:
    """Counts what comes, whatever the headers promised, and raises `BodyTooLarge` once it is more than `cap` bytes."""

    __slots__ = ("_cap", "_receive", "_size")

    def __init__(self, receive: Receive, cap: int) -> None:
        self._receive = receive
        self._cap = cap
        self._size = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            if self._size > self._cap:
                return message
            self._size += len(message.get("body", b""))
            if self._size > self._cap:
                raise BodyTooLarge
        return message


class LingeringClose(Response):
    """Sends a response, then reads on for a while before it closes the connection (RFC 9112, 9.6).

    Closing while the client still sends would reset the connection, and the answer would be lost on the way.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(response.body, response.status_code, None, response.media_type)
        self.headers["Connection"] = "close"
        self.headers["Content-Type"] = response.headers["Content-Type"]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_S):
                more = True
                while more and left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    more = message["type"] == "http.request" and message.get("more_body", False)
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def declared_length(scope: Scope) -> int | None:
    """The request's ``Content-Length``; None where there is none, or none that is a number."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None
