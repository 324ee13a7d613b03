"""Threads that are not to be kept, in memory."""

from datetime import datetime

from chatorch.adapters.memory.state import State
from chatorch.ports.unstored import UnstoredThreadStore


class MemoryUnstoredThreadStore(UnstoredThreadStore):
    def __init__(self, state: State) -> None:
        self._state = state

    async def forget(self, before: datetime, limit: int) -> int:
        self._state.require_available()
        threads = [record.thread for record in self._state.threads.values() if not record.thread.stored]
        due = sorted((t.updated_at, t.id) for t in threads if t.updated_at < before and not self._state.live_in(t.id))
        for _, thread_id in due[:limit]:
            self._state.remove(thread_id)
        return len(due[:limit])
