"""No request body over the cap, however it is sent. What is not read here is dropped by the connection."""

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope


class BodyTooLarge(HTTPException):
    """Raised while the body is read, so it passes through FastAPI as what it is."""

    def __init__(self) -> None:
        super().__init__(413, headers={"Connection": "close"})


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


def declared_length(scope: Scope) -> int | None:
    """The request's ``Content-Length``; None where there is none, or none that is a number."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None
