"""A connection that takes frames, and carries each of them out in a task of its own."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractContextManager, aclosing
from typing import Any, Generic, TypeVar

import structlog
from starlette.types import Receive

from chatorch.domain.model.content import PIECE_CHARS, PartDelta
from chatorch.domain.model.errors import ChatorchError, Overloaded
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.run import RunEvent, Silence
from chatorch.domain.services.identity.identify import Identified
from chatorch.entrypoints.common.failures import for_operators
from chatorch.entrypoints.common.setting_names import detail_of
from chatorch.entrypoints.common.websocket.closing import FLOODING, NO_CODE, NOT_TEXT
from chatorch.entrypoints.common.websocket.frame_limiter import FrameLimiter
from chatorch.entrypoints.common.websocket.speech import OpenSocket
from chatorch.entrypoints.common.websocket.wire import Wire

MAX_AT_ONCE = 256
"""Runs that one connection follows, with requests that it waits for."""

F = TypeVar("F")

log = structlog.get_logger(__name__)


class FrameSocket(OpenSocket, ABC, Generic[F]):
    """`F` is what a frame is read as. Leaving the connection is leaving its runs, not stopping them."""

    def __init__(self, wire: Wire, holder: Identified, limiter: FrameLimiter) -> None:
        self.holder = holder
        self.wire = wire
        self._limiter = limiter
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def principal(self) -> Principal:
        return self.holder.principal

    def hang_up(self, code: int) -> None:
        self.wire.hang_up(code)

    # -- of the door -----------------------------------------------------------------------------------------------

    @abstractmethod
    def present(self, first: str | None) -> AbstractContextManager[None]:
        """As long as the connection is open. `first` is the frame that let it in, if one did."""
        ...

    @abstractmethod
    def read(self, text: str) -> F | None:
        """What is to be carried out; None where the frame is answered already."""
        ...

    @abstractmethod
    async def carry_out(self, frame: F) -> None:
        """Raises `ChatorchError`, which is told."""
        ...

    @abstractmethod
    def tell_error(self, frame: F, error: ChatorchError | None) -> None:
        """None: something unexpected, which is in the log."""
        ...

    @abstractmethod
    def kind(self, frame: F) -> str:
        """For the log."""
        ...

    @abstractmethod
    def over_limit(self) -> None:
        """Says of a frame, which was not even read, that it is one too many."""
        ...

    @abstractmethod
    def stop_following(self) -> None:
        """The connection has ended."""
        ...

    # -- the same for all ------------------------------------------------------------------------------------------

    async def listen(self, receive: Receive, first: str | None) -> int:
        """Until the connection ends, and what it asked for is carried out."""
        try:
            with self.present(first):
                while True:
                    message = await receive()
                    if message["type"] == "websocket.disconnect":
                        return int(message.get("code") or NO_CODE)
                    self.take(message.get("text"))
        finally:
            self.stop_following()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def take(self, text: str | None) -> None:
        """Never waits: while it does, no ping of the server's is answered."""
        if not self.wire.is_open:
            return
        if text is None:
            self.wire.hang_up(NOT_TEXT)
            return
        self._limiter.count()
        if self._limiter.hopeless:
            self.wire.hang_up(FLOODING)
        elif self._limiter.over:
            self.over_limit()
        elif (frame := self.read(text)) is None:
            return
        elif len(self._tasks) >= MAX_AT_ONCE:
            self.refuse(frame, Overloaded())
        else:
            self.begin(self._answer(frame))

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Carries it out beside all else; the connection's end waits for it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _answer(self, frame: F) -> None:
        try:
            await self.carry_out(frame)
        except ChatorchError as error:
            self.refuse(frame, error)
        except Exception:
            log.exception("frame_failed")
            self.tell_error(frame, None)

    def refuse(self, frame: F, error: ChatorchError) -> None:
        self.log_refused(error, self.kind(frame))
        self.tell_error(frame, error)

    def log_refused(self, error: ChatorchError, kind: str | None = None) -> None:
        """As of a request: the connection's own line comes when it ends."""
        told = {"frame": kind, "code": error.code, "detail": detail_of(error), **for_operators(error)}
        log.info("frame_refused", user_id=self.principal.user_id, **{k: v for k, v in told.items() if v is not None})

    async def tell(self, told: AsyncGenerator[RunEvent | Silence], tell: Callable[[RunEvent], None]) -> None:
        """All of a run, no faster than the client takes it."""
        async with aclosing(told) as events:
            async for event in events:
                if isinstance(event, Silence):
                    continue
                if type(event) is not PartDelta or len(event.text) == PIECE_CHARS:
                    await self.wire.drained()  # more may follow at once
                tell(event)
