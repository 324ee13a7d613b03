"""How much that is new begins in one turn of the event loop.

The loop carries out all that is ready before it looks what else has come. Where a thousand clients come at once, each
of whom takes half a millisecond, whatever goes on already would stand still until the last of them was served.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

AT_ONCE = 8
STATE_KEY = "chatorch_turns"


class FairTurns:
    """`at_once` in a turn of the loop, and the others in the next ones, in the order in which they came."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._room = at_once
        self._waiting: deque[Callable[[], None]] = deque()

    @classmethod
    def of(cls, server_state: Any) -> "FairTurns":
        """One for all connections of a server."""
        turns: FairTurns | None = vars(server_state).get(STATE_KEY)
        if turns is None:
            turns = vars(server_state)[STATE_KEY] = cls()
        return turns

    def begin(self, work: Callable[[], None]) -> None:
        """Calls `work`: now, or soon. It must not raise."""
        if not self._room:
            self._waiting.append(work)
            return
        self._take_place()
        work()

    async def mine(self) -> None:
        """Waits for its turn."""
        turn = asyncio.get_running_loop().create_future()
        self.begin(partial(_come, turn))
        await turn

    def _take_place(self) -> None:
        if self._room == self._at_once:
            asyncio.get_running_loop().call_soon(self._next_turn)
        self._room -= 1

    def _next_turn(self) -> None:
        self._room = self._at_once
        while self._waiting and self._room:
            self._take_place()
            self._waiting.popleft()()


def _come(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
