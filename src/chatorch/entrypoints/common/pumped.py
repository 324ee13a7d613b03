"""Responses that go on for as long as there is something to tell."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatorch.entrypoints.common.disconnect import disconnected
from chatorch.entrypoints.common.middleware.exchange import go_on

PING = b": ping\n\n"
PING_AFTER_S = 11.0
"""Silence is noticed within four seconds, so no more than 15 s pass without a byte."""
STUCK_S = 60.0
"""A client that takes nothing for so long, with its connection open, is given up; it may come back."""
FINISH_S = 0.5


class PumpedStream(Response):
    """Server-sent events, written straight to ASGI.

    Resuming the dozen frames of middleware and routing that a request is in costs as much as encoding an event, and so
    does sending through them: all of them are gone by then (`go_on`). A client that disconnects ends it. `held` is
    given what ends it as well: then the response is over, mostly without a word of why.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        *,
        counted: Callable[[], AbstractContextManager[object]] = nullcontext,
        held: Callable[[Callable[[], object]], AbstractContextManager[object]] = nullcontext,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(
            headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no", **(headers or {})}
        )
        del self.headers["content-length"]
        self._counted = counted
        self._held = held
        self._task: asyncio.Task[object] | None = None  # as long as it may be ended
        self._ended = self._stuck = False
        self._look_at: asyncio.TimerHandle | None = None
        self._sending_since: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        self.raw_headers = []  # nothing asks for them again
        await go_on(scope, receive, send, self._stream)

    async def _stream(self, receive: Receive, send: Send) -> None:
        task = self._task = asyncio.current_task()
        leaving = asyncio.ensure_future(disconnected(receive))
        leaving.add_done_callback(self._end)
        self._look_later()
        try:
            with self._counted(), self._held(self._end):
                await self.pump(send)
        except asyncio.CancelledError:
            if not self._ended or task is None or task.uncancel():
                raise
            if not (self._stuck or leaving.done()):
                await _finish(send, self.last_words())
        finally:
            self._task = None
            leaving.cancel()
            if self._look_at is not None:
                self._look_at.cancel()

    def _end(self, *_: object) -> None:
        if self._task is not None and not self._ended:
            self._ended = True
            self._task.cancel()

    def _look_later(self) -> None:
        self._look_at = asyncio.get_running_loop().call_later(STUCK_S, self._look)

    def _look(self) -> None:
        if self._sending_since is not None and time.monotonic() - self._sending_since > STUCK_S:
            self._stuck = True
            self._end()
        else:
            self._look_later()

    @abstractmethod
    async def pump(self, send: Send) -> None:
        """Sends all of it, by `send`."""
        ...

    def last_words(self) -> bytes:
        """What is sent where `held` ends it."""
        return b""

    async def send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        self._sending_since = time.monotonic()
        await send({"type": "http.response.body", "body": body, "more_body": more})
        self._sending_since = None


async def _finish(send: Send, body: bytes) -> None:
    """Ends the response, so far as its client takes anything at all; if not, the server breaks the connection."""
    try:
        async with asyncio.timeout(FINISH_S):
            await send({"type": "http.response.body", "body": body, "more_body": False})
    except TimeoutError:
        return
