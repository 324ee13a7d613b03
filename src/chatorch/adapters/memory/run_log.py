"""The run log of one process: the text itself is the log, and every position in it is a slice."""

import asyncio
from collections.abc import AsyncGenerator

from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.run import (
    PIECE_CHARS,
    SILENCE,
    STARTED_SEQ,
    MessageDelta,
    RunEvent,
    RunStarted,
    Silence,
    TerminalEvent,
    first_of,
    next_delta,
    position_after,
)
from chatorch.ports.run_log import RunLog

SILENCE_S = 2.0
LINGER_S = 5.0
"""How long an ended log stays, for followers that were just about to begin: the store knows less than it does."""


class MemoryRunLog(RunLog):
    """Followers pull at their own pace, so a slow one costs nothing but itself, and what it missed comes in pieces.

    `silence_s` is how long nothing must be said before followers get `SILENCE`.
    """

    def __init__(self, silence_s: float = SILENCE_S) -> None:
        self._silence_s = silence_s
        self._logs: dict[RunId, _Log] = {}

    def open(self, run_id: RunId, epoch: int, started: RunStarted) -> None:  # noqa: ARG002
        self._logs[run_id] = _Log(started, self._silence_s)

    def append(self, run_id: RunId, text: str) -> None:
        if (log := self._logs.get(run_id)) and not log.closed:
            log.append(text)

    def end(self, run_id: RunId, terminal: TerminalEvent) -> None:
        if log := self._logs.get(run_id):
            log.close(terminal)
            asyncio.get_running_loop().call_later(LINGER_S, self._logs.pop, run_id, None)

    def abandon(self, run_id: RunId) -> None:
        if log := self._logs.pop(run_id, None):
            log.close(None)

    def text(self, run_id: RunId) -> str | None:
        log = self._logs.get(run_id)
        return None if log is None or log.closed else log.text()

    async def follow(self, run_id: RunId, after: int) -> AsyncGenerator[RunEvent | Silence]:
        log = self._logs.get(run_id)
        if log is None:
            return
        loop = asyncio.get_running_loop()
        position = after
        while True:
            event = log.next_after(position)
            if event is not None:
                yield event
                position = event.seq
                if position != log.tip or log.closed:
                    continue
            elif log.closed:
                return
            if not await log.changed(loop):
                yield SILENCE


class _Log:
    """One run's text as a head and the pieces since it was last read whole, and who waits for more.

    Appending is a list append; a follower at the tip takes the last piece as it is. Silence is noticed by one timer
    a log, set again when it rings, not by one a piece.
    """

    __slots__ = (
        "_appended",
        "_head",
        "_served",
        "_served_after",
        "_silence_s",
        "_started",
        "_tail",
        "_terminal",
        "_timer",
        "_waiters",
        "closed",
        "tip",
    )

    def __init__(self, started: RunStarted, silence_s: float) -> None:
        self._started = started
        self._silence_s = silence_s
        self._head = ""
        self._tail: list[str] = []
        self._terminal: TerminalEvent | None = None
        self._waiters: list[asyncio.Future[bool]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._appended = False
        self._served: MessageDelta | None = None
        self._served_after = 0
        self.closed = False
        self.tip = STARTED_SEQ

    def append(self, text: str) -> None:
        self._tail.append(text)
        self.tip += len(text)
        self._appended = True
        if self._waiters:
            self._wake(True)

    def close(self, terminal: TerminalEvent | None) -> None:
        self._terminal = terminal
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._wake(True)

    def text(self) -> str:
        if self._tail:
            self._head += "".join(self._tail)
            self._tail.clear()
        return self._head

    def next_after(self, position: int) -> RunEvent | None:
        """The next event for a follower at `position`; None where there is nothing more yet.

        Followers that stand at the same place get the same object, so that a door can encode it once for all.
        """
        tip = self.tip
        if STARTED_SEQ <= position < tip:
            served = self._served
            if served is None or served.seq != tip or self._served_after != position:
                if tip - position > PIECE_CHARS:
                    return self._piece_after(position)
                self._served = served = MessageDelta(tip, self._since(position))
                self._served_after = position
            return served
        if position < STARTED_SEQ:
            return self._started
        if position == tip:
            return self._terminal
        if self._terminal is None or position == self._terminal.seq:
            return None
        return first_of(self.text())

    def _piece_after(self, position: int) -> MessageDelta:
        """As long as the head has it, what has come since is not joined to it: that copies all."""
        served = self._served
        if served is None or self._served_after != position or len(served.text) != PIECE_CHARS:
            head = self._head if position_after(self._head) >= position + PIECE_CHARS else self.text()
            self._served = served = next_delta(head, position)
            self._served_after = position
        return served

    def _since(self, position: int) -> str:
        """The text after a position, looking from the end, where followers usually are."""
        tail = self._tail
        begins = self.tip
        for index in range(len(tail) - 1, -1, -1):
            begins -= len(tail[index])
            if begins == position and index == len(tail) - 1:
                return tail[index]
            if begins <= position:
                return "".join(tail[index:])[position - begins :]
        return self.text()[position - STARTED_SEQ :]

    def changed(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[bool]:
        """Done at the next append or the end; with False where nothing came for about `silence_s` seconds."""
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiters.append(waiter)
        if self._timer is None:
            self._appended = False
            self._timer = loop.call_later(self._silence_s, self._ring, loop)
        return waiter

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._appended:
            self._appended = False
            self._timer = loop.call_later(self._silence_s, self._ring, loop)
        else:
            self._wake(False)

    def _wake(self, changed: bool) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(changed)
