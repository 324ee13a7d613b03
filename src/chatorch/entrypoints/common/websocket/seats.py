"""How many connections one user has, of those that are no devices."""

from collections import Counter

from chatorch.domain.model.identity import UserId


class Seats:
    """At most `most` of a user's, in this process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[UserId] = Counter()

    def take(self, user_id: UserId) -> bool:
        """False where none is free."""
        if self._taken[user_id] >= self._most:
            return False
        self._taken[user_id] += 1
        return True

    def leave(self, user_id: UserId) -> None:
        self._taken[user_id] -= 1
        if not self._taken[user_id]:
            del self._taken[user_id]
