"""Commands that nobody waits for."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from chatorch.adapters.redis.scripts import Command

AT_ONCE = 500
MOST = 10_000
RETRY_S = 0.2

Answered = Callable[[Any], None]

log = structlog.get_logger(__name__)


class Away(Exception):
    """Redis does not answer, or not as it should. It stays inside these adapters."""


Posted = Command | Callable[[], Command]
"""What is posted as a function is made when it is sent: it may say how old something is."""


@dataclass(frozen=True, slots=True)
class _Posted:
    command: Posted
    answered: Answered | None
    keep_until: float

    def made(self) -> Command:
        return self.command() if callable(self.command) else self.command


class CommandPipeline:
    """Sends what is posted, in order, all that came together in one round trip.

    What cannot be sent, or is refused, is dropped, unless it was posted to be kept. What is refused holds up nothing:
    its turn comes again behind the others.
    """

    def __init__(self, each: Callable[..., Awaitable[list[Any]]], until_up: Callable[[], Awaitable[object]]) -> None:
        self._each = each
        self._until_up = until_up
        self._posted: deque[_Posted] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def post(self, command: Posted, answered: Answered | None = None, *, keep_s: float = 0.0) -> None:
        """Returns at once. `answered` is called with Redis's answer, or with None if it was dropped.

        For `keep_s` seconds it is tried again, whenever Redis is there. It may be done twice then.
        """
        until = asyncio.get_running_loop().time() + keep_s if keep_s else 0.0
        self._put(_Posted(command, answered, until))

    def drop(self) -> None:
        """Redis has gone: what is not to be kept is answered with None."""
        self._drop(self._posted)

    async def keep(self) -> None:
        """For ever: sends."""
        while True:
            await self._wake.wait()
            await self._until_up()
            self._wake.clear()
            while self._posted:
                batch = [self._posted.popleft() for _ in range(min(len(self._posted), AT_ONCE))]
                try:
                    answers = await self._each(*(posted.made() for posted in batch))
                except Away:
                    self._drop(batch)
                    await asyncio.sleep(RETRY_S)
                    break
                for posted, answer in zip(batch, answers, strict=True):
                    self._answer(posted, answer)
            if not self._posted:
                self._idle.set()
            else:
                self._wake.set()

    async def sent(self) -> None:
        """Waits until nothing is left to send."""
        await self._idle.wait()

    def _answer(self, posted: _Posted, answer: Any) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(answer, Exception):
            _call(posted.answered, answer)
        elif posted.keep_until > loop.time():
            loop.call_later(RETRY_S, self._put, posted)
        else:
            _call(posted.answered, None)

    def _put(self, posted: _Posted) -> None:
        if len(self._posted) >= MOST:
            _call(self._posted.popleft().answered, None)
        self._posted.append(posted)
        self._idle.clear()
        self._wake.set()

    def _drop(self, unsent: list[_Posted] | deque[_Posted]) -> None:
        now = asyncio.get_running_loop().time()
        dropped = [posted for posted in unsent if posted.keep_until < now]
        kept = [posted for posted in unsent if posted.keep_until >= now]
        if unsent is self._posted:
            self._posted.clear()
        self._posted.extendleft(reversed(kept))
        for posted in dropped:
            _call(posted.answered, None)


def _call(answered: Answered | None, answer: Any) -> None:
    if answered is None:
        return
    try:
        answered(answer)
    except Exception as error:  # the rest must still be sent
        log.warning("redis_answer_ignored", error=type(error).__qualname__)
