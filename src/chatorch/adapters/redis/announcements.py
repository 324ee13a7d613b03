"""What is told to everyone, in all processes."""

from collections import deque
from collections.abc import Callable
from typing import Any

from chatorch.adapters.redis.link import Away, RedisLink
from chatorch.adapters.redis.presence_events import decode_told, told_bytes
from chatorch.adapters.redis.scripts import ANNOUNCE, ANNOUNCED, NOW
from chatorch.domain.model.errors import Unavailable
from chatorch.domain.model.presence import PresenceEvent

ACCEPTED_S = 0.5
KEPT_S = 600.0
MOST_KEPT = 100

Deliver = Callable[[PresenceEvent, float], None]


class Announcements:
    """Redis keeps the last ones, so that a process that has just lost its channel hears them on its return.

    `deliver` gets each once, and how many seconds ago it was made.
    """

    def __init__(self, link: RedisLink, deliver: Deliver) -> None:
        self._link = link
        self._deliver = deliver
        self._channel = f"{link.prefix}everyone"
        self._kept = f"{link.prefix}announcements"
        self._heard: deque[bytes] = deque(maxlen=2 * MOST_KEPT)
        link.on_return(self._catch_up)

    async def start(self) -> None:
        self._link.listen(self._channel, self._hear)
        await self._link.confirmed(self._channel)

    def close(self) -> None:
        self._link.forget(self._channel)

    async def make(self, event: PresenceEvent) -> None:
        """Raises `Unavailable`, and reaches nobody then."""
        told = told_bytes(self._link.process, 0, "", event)
        try:
            [now] = await self._link.ask(NOW([]))
            deadline = now + round(ACCEPTED_S * 1000)
            command = ANNOUNCE([self._kept], self._channel, told, deadline, round(KEPT_S * 1000), MOST_KEPT)
            [made] = await self._link.ask(command)
        except Away:
            made = 0
        if not made:
            raise Unavailable("Other processes cannot be reached now.")

    def _hear(self, data: bytes) -> None:
        number, _, told = data.partition(b" ")
        self._tell(number, told, 0.0)

    def _catch_up(self) -> None:
        self._link.post(ANNOUNCED([self._kept]), self._tell_missed)

    def _tell_missed(self, answer: Any) -> None:
        now, entries = answer or (0, ())
        for number, [_, told] in entries:
            made_at = int(number.partition(b"-")[0])
            self._tell(number, told, (now - made_at) / 1000)

    def _tell(self, number: bytes, told: bytes, age_s: float) -> None:
        """`number` is the stream's, which begins with Redis's time in milliseconds."""
        if number not in self._heard:
            event = decode_told(told).event()
            self._heard.append(number)
            self._deliver(event, age_s)
