"""Responses that go on for as long as there is something to tell."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatorch.entrypoints.common.disconnect import disconnected
from chatorch.entrypoints.common.middleware.exchange import frame_send, late_receive

PING = b": ping\n\n"
PING_AFTER_S = 11.0
"""Silence is noticed within four seconds, so no more than 15 s pass without a byte."""
STUCK_S = 60.0
"""A client that takes nothing for so long, with its connection open, is given up; it may come back."""
FINISH_S = 0.5


class PumpedStream(Response):
    """Server-sent events, written straight to ASGI by a task of its own.

    Resuming the dozen frames of middleware and routing that the request's task is in costs as much as encoding an
    event, and so does sending through them. A client that disconnects ends the task. `held` is
    given what ends it as well: then the response is over, without a word of why.
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
        self._sending_since: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        direct = frame_send(scope, send)
        pump = asyncio.ensure_future(self.pump(direct))
        leaving = asyncio.ensure_future(disconnected(late_receive(scope, receive)))
        leaving.add_done_callback(lambda _: pump.cancel())
        try:
            with self._counted(), self._held(pump.cancel):
                while not (await asyncio.wait((pump,), timeout=STUCK_S))[0]:
                    if self._sending_since is not None and time.monotonic() - self._sending_since > STUCK_S:
                        return
        finally:
            left = leaving.done()
            leaving.cancel()
            pump.cancel()
        if not pump.cancelled():
            pump.result()
        elif not left:
            await _finish(direct)

    @abstractmethod
    async def pump(self, send: Send) -> None:
        """Sends all of it, by `send`."""
        ...

    async def send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        self._sending_since = time.monotonic()
        await send({"type": "http.response.body", "body": body, "more_body": more})
        self._sending_since = None


async def _finish(send: Send) -> None:
    """Ends the response, so far as its client takes anything at all; if not, the server breaks the connection."""
    try:
        async with asyncio.timeout(FINISH_S):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except TimeoutError:
        return
