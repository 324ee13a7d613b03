"""What guests left, in memory."""

from datetime import datetime

from chatorch.adapters.memory.state import State
from chatorch.domain.model.conversation import Thread, ThreadId
from chatorch.domain.model.identity import is_guest
from chatorch.ports.guests import GuestThreadStore


class MemoryGuestThreadStore(GuestThreadStore):
    def __init__(self, state: State) -> None:
        self._state = state

    async def forget(self, before: datetime, limit: int) -> int:
        self._state.require_available()
        due = [thread.id for thread in self._by_age() if thread.updated_at < before and self._has_ended(thread)]
        return self._remove(due[:limit])

    async def shed(self, keep: int, limit: int) -> int:
        self._state.require_available()
        threads = self._by_age()
        over = [thread.id for thread in threads[: max(len(threads) - keep, 0)] if self._has_ended(thread)][:limit]
        for run_id in [record.run.id for record in self._state.runs.values() if record.run.thread_id in over]:
            self._state.interactions.pop(run_id, None)
        return self._remove(over)

    def _by_age(self) -> list[Thread]:
        threads = (record.thread for record in self._state.threads.values())
        return sorted(
            (thread for thread in threads if is_guest(thread.owner_id)),
            key=lambda thread: thread.owner_id,
        )

    def _has_ended(self, thread: Thread) -> bool:
        return self._state.live_in(thread.id) is None

    def _remove(self, thread_ids: list[ThreadId]) -> int:
        for thread_id in thread_ids:
            self._state.remove(thread_id)
        return len(thread_ids)
