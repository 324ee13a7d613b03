"""How fast one user's connections may come."""

from collections.abc import Callable
from math import inf

from chatorch.domain.model.identity import UserId

BURST_S = 2.0
LONGEST_S = 20.0


class Pace:
    """Lets twice as many of a user's in at once as may stay, then so many a second: others wait, at most 20 s.

    A handshake costs a millisecond, whether it is refused or not. Who waits costs nothing, and does not come again.
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._every_s = 1 / most
        self._clock = clock
        self._turns: dict[UserId, float] = {}

    def wait_s(self, user_id: UserId) -> float:
        """Takes the next turn: how long it is until then (seconds)."""
        now = self._clock()
        turn = max(self._turns.get(user_id, -inf), now - BURST_S) + self._every_s
        self._turns[user_id] = min(turn, now + LONGEST_S)
        return max(round(self._turns[user_id] - now, 3), 0.0)

    def forget(self) -> None:
        """Those who have not come for a while."""
        long_ago = self._clock() - BURST_S
        for user_id in [user_id for user_id, turn in self._turns.items() if turn <= long_ago]:
            del self._turns[user_id]
