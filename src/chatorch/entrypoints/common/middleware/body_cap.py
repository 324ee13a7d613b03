"""No request body over the cap, however it is sent. What is not read here is dropped by the connection."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

FREE_BYTES = 64 * 1024
"""What anybody may send."""
MAX_DIGITS = 20
"""As many as 64 bits have; Python refuses to read very many."""


class BodyTooLarge(HTTPException):
    """Raised while the body is read, so it passes through FastAPI as what it is."""

    def __init__(self) -> None:
        super().__init__(413, headers={"Connection": "close"})


class CappedReceive:
    """Counts what comes, whatever the headers promised, and raises `BodyTooLarge` once it is more than `cap` bytes.

    Before it takes more than `FREE_BYTES`, it enters what `large` makes, which may raise; `aclose` leaves it. Where
    the head says that so many will come (`declared`), it does so before it takes any.
    """

    __slots__ = ("_cap", "_declared", "_entered", "_large", "_receive", "_size")

    def __init__(
        self,
        receive: Receive,
        cap: int,
        large: Callable[[], AbstractAsyncContextManager[None]] | None,
        declared: int | None = None,
    ) -> None:
        self._receive = receive
        self._cap = cap
        self._declared = declared or 0
        self._size = 0
        self._large = large
        self._entered: AbstractAsyncContextManager[None] | None = None

    async def __call__(self) -> Message:
        if self._declared > FREE_BYTES:
            self._declared = 0
            await self._enter()
        message = await self._receive()
        if message["type"] == "http.request":
            if self._size > self._cap:
                return message
            self._size += len(message.get("body", b""))
            if self._size > self._cap:
                raise BodyTooLarge
            if self._size > FREE_BYTES:
                await self._enter()
        return message

    async def _enter(self) -> None:
        if self._large is not None:
            large, self._large = self._large(), None
            await large.__aenter__()
            self._entered = large

    async def aclose(self) -> None:
        if self._entered is not None:
            await self._entered.__aexit__(None, None, None)


def declared_length(scope: Scope) -> int | None:
    """The request's ``Content-Length``; None where there is none, or none that is a number that anybody could mean."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) <= MAX_DIGITS else None
    return None
