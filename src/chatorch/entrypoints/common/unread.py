"""Long answers on their way: sent as they are read, and bounded where nobody reads them.

An event stream waits for who reads it. Any other answer is made whole, and what the kernel does not take of it would
lie in this process for as long as its client lets it; whoever has a token may ask for long ones on many connections.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatorch.entrypoints.common.middleware.access_log import client_address

PIECE_BYTES = 64 * 1024
MOST = 128 * 1024 * 1024
OF_ONE = 32 * 1024 * 1024
ASKED_BY = "chatorch.asked_by"
"""Where in the scope whoever asks is named."""


class Unread:
    """How many bytes of long answers lie here: `most` in all, `of_one` who asked; a single one may be longer.

    Where it is too much, the one that has lain for the longest time is given up.
    """

    def __init__(self, most: int = MOST, of_one: int = OF_ONE) -> None:
        self._most = most
        self._of_one = of_one
        self._lying: dict[object, tuple[str, int, Callable[[], object]]] = {}

    @contextmanager
    def lying(self, asked_by: str, size: int, give_up: Callable[[], object]) -> Iterator[None]:
        """While it lasts, an answer of so many bytes lies here; `give_up` may be called, once."""
        this = object()
        self._lying[this] = (asked_by, size, give_up)
        while self._sum(asked_by) > self._of_one and self._give_up_first(this, asked_by):
            pass
        while self._sum() > self._most and self._give_up_first(this):
            pass
        try:
            yield
        finally:
            self._lying.pop(this, None)

    def _sum(self, asked_by: str | None = None) -> int:
        return sum(size for whose, size, _ in self._lying.values() if asked_by in (None, whose))

    def _give_up_first(self, besides: object, asked_by: str | None = None) -> bool:
        for one, (whose, _, give_up) in self._lying.items():
            if one is not besides and asked_by in (None, whose):
                del self._lying[one]
                give_up()
                return True
        return False


class WholeAnswer(Response):
    """JSON. One that is given up ends its connection."""

    media_type = "application/json"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.body) <= PIECE_BYTES or "app" not in scope:
            await super().__call__(scope, receive, send)
            return
        unread: Unread = scope["app"].state.unread
        asked_by = scope.get(ASKED_BY) or client_address(scope) or ""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as patience:
                with unread.lying(asked_by, len(self.body), lambda: patience.reschedule(loop.time())):
                    await self._send_in_pieces(send)
        except TimeoutError:
            if not patience.expired():
                raise

    async def _send_in_pieces(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = bytes(self.body)
        for start in range(0, len(body), PIECE_BYTES):
            # A copy, so that what the server still holds of it holds nothing else.
            piece, more = body[start : start + PIECE_BYTES], start + PIECE_BYTES < len(body)
            await send({"type": "http.response.body", "body": piece, "more_body": more})
