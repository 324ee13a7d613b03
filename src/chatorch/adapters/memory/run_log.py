"""The run log of one process: the content itself is the log, and every position in it is a slice."""

import asyncio
from collections.abc import AsyncGenerator

from chatorch.domain.model.content import PIECE_CHARS, START, Content, Draft, PartDelta, Snapshot
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.parts import NOTHING, Facts, PartKind
from chatorch.domain.model.run import SILENCE, RunEvent, RunStarted, Silence, TerminalEvent
from chatorch.domain.model.transcript import Transcript
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
            log.draft.append(text)
            log.grown()

    def start_part(self, run_id: RunId, kind: PartKind, head: Facts = NOTHING) -> None:
        if (log := self._logs.get(run_id)) and not log.closed:
            log.draft.start(kind, head)
            log.grown()

    def end_part(self, run_id: RunId, result: Facts = NOTHING) -> None:
        if (log := self._logs.get(run_id)) and not log.closed:
            log.draft.end(result)
            log.grown()

    def end(self, run_id: RunId, terminal: TerminalEvent) -> None:
        if log := self._logs.get(run_id):
            log.close(terminal)
            asyncio.get_running_loop().call_later(LINGER_S, self._logs.pop, run_id, None)

    def abandon(self, run_id: RunId) -> None:
        if log := self._logs.pop(run_id, None):
            log.close(None)

    def content(self, run_id: RunId) -> Content | None:
        log = self._logs.get(run_id)
        return None if log is None or log.closed else log.draft.content()

    def base(self, run_id: RunId) -> int | None:
        log = self._logs.get(run_id)
        return None if log is None or log.closed else log.draft.base

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
                if position != log.draft.tip or log.closed:
                    continue
            elif log.closed:
                return
            if not await log.changed(loop):
                yield SILENCE


class _Log:
    """A transcript, and who waits for more of it.

    Silence is noticed by one timer a log, set again when it rings, not by one a piece.
    """

    __slots__ = (
        "_appended",
        "_served",
        "_served_after",
        "_silence_s",
        "_timer",
        "_transcript",
        "_waiters",
        "closed",
        "draft",
    )

    def __init__(self, started: RunStarted, silence_s: float) -> None:
        self.draft = Draft(base=started.seq - START)
        self._transcript = Transcript(started, self.draft)
        self._silence_s = silence_s
        self._waiters: list[asyncio.Future[bool]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._appended = False
        self._served: RunEvent | None = None
        self._served_after = 0
        self.closed = False

    def grown(self) -> None:
        """Something has been added to the draft."""
        self._appended = True
        if self._waiters:
            self._wake(True)

    def close(self, terminal: TerminalEvent | None) -> None:
        self._transcript.terminal = terminal
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._wake(True)

    def next_after(self, position: int) -> RunEvent | None:
        """The next event for a follower at `position`; None where there is nothing more yet.

        Followers that stand at the same place get the same object, so that a door can encode it once for all.
        """
        served = self._served
        if (
            served is not None
            and self._served_after == position
            and (type(served) is not PartDelta or served.seq == self.draft.tip or len(served.text) == PIECE_CHARS)
        ):
            return served
        event = self._transcript.next_after(position)
        if event is not None and type(event) is not Snapshot:
            self._served, self._served_after = event, position
        return event

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
