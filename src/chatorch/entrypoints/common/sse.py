"""A run as server-sent events (WHATWG HTML, 9.2): `id` is the position, so `Last-Event-ID` resumes exactly there."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext

from starlette.types import Send

from chatorch.domain.model.content import PIECE_CHARS, PartDelta
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.run import TERMINAL_EVENTS, RunEvent, Silence
from chatorch.entrypoints.common.envelope import EVENT_TYPES, PART_DELTA, delta_form, envelope, quoted, type_of
from chatorch.entrypoints.common.event_encoder import EventEncoder
from chatorch.entrypoints.common.pumped import PING, PING_AFTER_S, PumpedStream

_TYPES = {name: name.encode() for name in (*EVENT_TYPES.values(), PART_DELTA)}


class SseEncoder(EventEncoder):
    """Our own dialect."""

    def __init__(self, run_id: RunId) -> None:
        self._run_id = run_id
        self._delta = b"id: %%d\nevent: message.delta\ndata: %b\n\n" % delta_form(run_id)

    def encode(self, event: RunEvent) -> bytes:
        if type(event) is PartDelta and not event.index:  # as nearly always
            return self._delta % (event.seq, event.seq, quoted(event.text))
        data = envelope(self._run_id, event)
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, _TYPES[type_of(event)], data)

    def keep_alive(self) -> bytes:
        return PING

    def end(self) -> bytes:
        return b""


AT_ONCE = 16
"""Of events that are no deltas, before others have their turn."""


class EventStream(PumpedStream):
    """Streams a run's events in a dialect, until the terminal one. A client that disconnects leaves the run; it does
    not stop it. `begun` are those that were taken from `events` already.

    Of what is stored all is there at once, and a fast client takes it at once: others have their turns between pieces.
    """

    def __init__(
        self,
        events: AsyncGenerator[RunEvent | Silence],
        encoder: EventEncoder,
        *,
        begun: Sequence[RunEvent] = (),
        counted: Callable[[], AbstractContextManager[object]] = nullcontext,
        held: Callable[[Callable[[], object]], AbstractContextManager[object]] = nullcontext,
        headers: dict[str, str] | None = None,
        ping_after_s: float = PING_AFTER_S,
    ) -> None:
        super().__init__(counted=counted, held=held, headers=headers)
        self._events = events
        self._encoder = encoder
        self._begun = begun
        self._ping_after_s = ping_after_s

    async def pump(self, send: Send) -> None:
        encoder, encode = self._encoder, self._encoder.encode
        now = time.monotonic
        sent_at = now()
        async with aclosing(self._events) as events:
            if self._begun and not await self._send_begun(send):
                return
            beside = 0
            async for event in events:
                if type(event) is PartDelta:  # first, because it is nearly always one
                    if len(event.text) == PIECE_CHARS:
                        await asyncio.sleep(0)
                    body, more = encode(event), True
                elif isinstance(event, Silence):
                    body, more = b"", True
                elif isinstance(event, TERMINAL_EVENTS):
                    body, more = encode(event) + encoder.end(), False
                else:
                    beside += 1
                    if not beside % AT_ONCE:
                        await asyncio.sleep(0)
                    body, more = encode(event), True
                if not body and more:
                    # The run goes on, though this dialect has no words for what it does
                    body = encoder.keep_alive() if now() - sent_at >= self._ping_after_s else b""
                    if not body:
                        continue
                # As `self.send`, without another frame for each token.
                self._sending_since = sent_at = now()
                await send({"type": "http.response.body", "body": body, "more_body": more})
                self._sending_since = None

    def last_words(self) -> bytes:
        return self._encoder.cut_off()

    async def _send_begun(self, send: Send) -> bool:
        """Whether there is more to come."""
        more = not isinstance(self._begun[-1], TERMINAL_EVENTS)
        body = b"".join(map(self._encoder.encode, self._begun))
        await self.send(send, body if more else body + self._encoder.end(), more=more)
        return more
