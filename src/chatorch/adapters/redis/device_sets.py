"""Which devices of one user there are, as far as those here were told."""

from collections.abc import Collection

from chatorch.domain.model.presence import ClientId, PresenceChanged, PresenceStatus


class DeviceSet:
    """Takes what is heard, which may come twice, late or not at all, and gives back what is news.

    Whoever has sent a question keeps the number that `asking` gave. Until `answered` with the same number, what is
    heard waits: it may be older or newer than the answer, and decides in either case.
    """

    def __init__(self) -> None:
        self.known = False
        self._there: set[ClientId] = set()
        self._questions = 0
        self._asked = 0
        self._heard: list[PresenceChanged] = []

    @property
    def to_be_asked(self) -> bool:
        return not self.known and not self._asked

    def asking(self) -> int:
        """Who asks again takes the earlier question back."""
        self._questions += 1
        self._asked = self._questions
        return self._asked

    def answered(self, question: int, there: Collection[ClientId] | None) -> list[PresenceChanged]:
        """`there` is None for no answer. The first answer says what was there before; that is no news."""
        if question != self._asked:
            return []
        return self._answer(there)

    def hear(self, change: PresenceChanged) -> list[PresenceChanged]:
        if self._asked:
            self._heard.append(change)
            return []
        return [change] if self._is_news(change) else []

    def decide(self, change: PresenceChanged) -> list[PresenceChanged]:
        """It happened here, and nobody else can say so now."""
        return self._answer(None) + ([change] if self._is_news(change) else [])

    def _answer(self, there: Collection[ClientId] | None) -> list[PresenceChanged]:
        self._asked = 0
        news = []
        if there is not None:
            if self.known:
                news = self._differences(there)
            self._there = set(there) if self.known else self._there | set(there)
            self.known = True
        heard, self._heard = self._heard, []
        return news + [change for change in heard if self._is_news(change)]

    def _is_news(self, change: PresenceChanged) -> bool:
        if (change.client_id in self._there) is (change.status is PresenceStatus.JOINED):
            return False
        self._there.symmetric_difference_update((change.client_id,))
        return True

    def _differences(self, there: Collection[ClientId]) -> list[PresenceChanged]:
        joined = [
            PresenceChanged(client_id, PresenceStatus.JOINED) for client_id in there if client_id not in self._there
        ]
        left = [PresenceChanged(client_id, PresenceStatus.LEFT) for client_id in self._there if client_id not in there]
        return joined + left
