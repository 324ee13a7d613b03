"""A run as server-sent events (WHATWG HTML, 9.2): `id` is the position, so `Last-Event-ID` resumes exactly there."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing, nullcontext

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.run import TERMINAL_EVENTS, MessageDelta, RunEvent, Silence
from chatorch.entrypoints.envelope import EVENT_TYPES, envelope
from chatorch.entrypoints.http.disconnect import disconnected
from chatorch.entrypoints.http.middleware.exchange import frame_send, late_receive

PING = b": ping\n\n"
_TYPES = {kind: name.encode() for kind, name in EVENT_TYPES.items()}
PING_AFTER_S = 11.0
"""Silence is noticed within four seconds, so no more than 15 s pass without a byte."""
STUCK_S = 60.0
"""A client that takes nothing for so long, with its connection open, is given up; it may come back and resume."""


def sse_frame(run_id: RunId, event: RunEvent) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, _TYPES[type(event)], envelope(run_id, event))


class EventFrames:
    """The latest frame of each run that is being followed: however many follow it, an event is encoded once."""

    def __init__(self, encode: Callable[[RunId, RunEvent], bytes] = sse_frame) -> None:
        self._encode = encode
        self._latest: dict[RunId, tuple[RunEvent, bytes]] = {}

    def frame(self, run_id: RunId, event: RunEvent) -> bytes:
        latest = self._latest.get(run_id)
        if latest is not None and latest[0] is event:
            return latest[1]
        frame = self._encode(run_id, event)
        self._latest[run_id] = (event, frame)
        return frame

    def forget(self, run_id: RunId) -> None:
        self._latest.pop(run_id, None)


class EventStream(Response):
    """Streams a run's events until the terminal one. A client that disconnects leaves the run; it does not stop it.

    Written straight to ASGI, by a task of its own: resuming the dozen frames of middleware and routing that the
    request's task is in costs as much as encoding an event, and so does sending through them.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        run_id: RunId,
        events: AsyncGenerator[RunEvent | Silence],
        *,
        frames: EventFrames,
        counted: Callable[[], AbstractContextManager[object]] = nullcontext,
        headers: dict[str, str] | None = None,
        ping_after_s: float = PING_AFTER_S,
    ) -> None:
        super().__init__(
            headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no", **(headers or {})}
        )
        del self.headers["content-length"]
        self._run_id = run_id
        self._events = events
        self._frames = frames
        self._counted = counted
        self._ping_after_s = ping_after_s
        self._sending_since: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        pump = asyncio.ensure_future(self._send_events(frame_send(scope, send)))
        leaving = asyncio.ensure_future(disconnected(late_receive(scope, receive)))
        leaving.add_done_callback(lambda _: pump.cancel())
        try:
            with self._counted():
                while not (await asyncio.wait((pump,), timeout=STUCK_S))[0]:
                    if self._sending_since is not None and time.monotonic() - self._sending_since > STUCK_S:
                        return
        finally:
            leaving.cancel()
            pump.cancel()
            self._frames.forget(self._run_id)
        if not pump.cancelled():
            pump.result()

    async def _send_events(self, send: Send) -> None:
        run_id, frame = self._run_id, self._frames.frame
        now = time.monotonic
        sent_at = now()
        async with aclosing(self._events) as events:
            async for event in events:
                if type(event) is MessageDelta:  # first, because it is nearly always one
                    body, more = frame(run_id, event), True
                elif isinstance(event, Silence):
                    if now() - sent_at < self._ping_after_s:
                        continue
                    body, more = PING, True
                else:
                    body, more = frame(run_id, event), not isinstance(event, TERMINAL_EVENTS)
                self._sending_since = sent_at = now()
                await send({"type": "http.response.body", "body": body, "more_body": more})
                self._sending_since = None
