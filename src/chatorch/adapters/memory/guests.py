"""What guests left, in memory."""

from datetime import datetime

from chatorch.adapters.memory.state import State
from chatorch.domain.model.identity import GUEST
from chatorch.ports.guests import GuestThreadStore


class MemoryGuestThreadStore(GuestThreadStore):
    def __init__(self, state: State) -> None:
        self._state = state

    async def forget(self, before: datetime, limit: int) -> int:
        state = self._state
        state.require_available()
        due = [
            record.thread.id
            for record in sorted(state.threads.values(), key=lambda record: record.thread.owner_id)
            if record.thread.owner_id.startswith(f"{GUEST}_")
            and record.thread.updated_at < before
            and state.live_in(record.thread.id) is None
        ][:limit]
        for thread_id in due:
            state.remove(thread_id)
        return len(due)
