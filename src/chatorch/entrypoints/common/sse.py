"""A run as server-sent events (WHATWG HTML, 9.2): `id` is the position, so `Last-Event-ID` resumes exactly there."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing, nullcontext

from starlette.types import Send

from chatorch.domain.model.content import PartDelta
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.run import TERMINAL_EVENTS, RunEvent, Silence
from chatorch.entrypoints.common.envelope import EVENT_TYPES, PART_DELTA, envelope, type_of
from chatorch.entrypoints.common.pumped import PING, PING_AFTER_S, PumpedStream

_TYPES = {name: name.encode() for name in (*EVENT_TYPES.values(), PART_DELTA)}


def sse_frame(run_id: RunId, event: RunEvent) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, _TYPES[type_of(event)], envelope(run_id, event))


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


class EventStream(PumpedStream):
    """Streams a run's events until the terminal one. A client that disconnects leaves the run; it does not stop it."""

    def __init__(
        self,
        run_id: RunId,
        events: AsyncGenerator[RunEvent | Silence],
        *,
        frames: EventFrames,
        counted: Callable[[], AbstractContextManager[object]] = nullcontext,
        held: Callable[[Callable[[], object]], AbstractContextManager[object]] = nullcontext,
        headers: dict[str, str] | None = None,
        ping_after_s: float = PING_AFTER_S,
    ) -> None:
        super().__init__(counted=counted, held=held, headers=headers)
        self._run_id = run_id
        self._events = events
        self._frames = frames
        self._ping_after_s = ping_after_s

    def ended(self) -> None:
        self._frames.forget(self._run_id)

    async def pump(self, send: Send) -> None:
        run_id, frame = self._run_id, self._frames.frame
        now = time.monotonic
        sent_at = now()
        async with aclosing(self._events) as events:
            async for event in events:
                if type(event) is PartDelta:  # first, because it is nearly always one
                    body, more = frame(run_id, event), True
                elif isinstance(event, Silence):
                    if now() - sent_at < self._ping_after_s:
                        continue
                    body, more = PING, True
                else:
                    body, more = frame(run_id, event), not isinstance(event, TERMINAL_EVENTS)
                # As `self.send`, without another frame for each token.
                self._sending_since = sent_at = now()
                await send({"type": "http.response.body", "body": body, "more_body": more})
                self._sending_since = None
