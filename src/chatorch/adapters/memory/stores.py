"""All stores of one process, over one state."""

from chatorch.adapters.memory.calls import MemoryCallStore
from chatorch.adapters.memory.execution_store import MemoryExecutionStore
from chatorch.adapters.memory.guests import MemoryGuestThreadStore
from chatorch.adapters.memory.run_lives import MemoryRunLives
from chatorch.adapters.memory.runs import MemoryRunStore
from chatorch.adapters.memory.state import State
from chatorch.adapters.memory.thread_items import MemoryThreadItemStore, MemoryThreadNoteStore
from chatorch.adapters.memory.threads import MemoryThreadStore
from chatorch.adapters.memory.unstored import MemoryUnstoredThreadStore
from chatorch.adapters.memory.users import MemoryUserStore
from chatorch.domain.model.run import Interaction


class MemoryStore:
    """Keeps everything for as long as the process lives. For one event loop: every method is a step without a pause.

    Each attribute implements the store port of its name. While `available` is False every one of their methods raises
    `StoreUnavailable`, and nothing is changed. While it is `read_only`, so do those of threads and runs that write.
    """

    def __init__(self) -> None:
        self._state = State()
        self.users = MemoryUserStore(self._state)
        self.threads = MemoryThreadStore(self._state)
        self.thread_items = MemoryThreadItemStore(self._state)
        self.thread_notes = MemoryThreadNoteStore(self._state)
        self.runs = MemoryRunStore(self._state)
        self.calls = MemoryCallStore(self._state)
        self.execution_store = MemoryExecutionStore(self._state)
        self.run_lives = MemoryRunLives(self._state)
        self.unstored_threads = MemoryUnstoredThreadStore(self._state)
        self.guest_threads = MemoryGuestThreadStore(self._state)

    @property
    def state(self) -> State:
        """For stores that stand on the same users, and fail with the others."""
        return self._state

    @property
    def available(self) -> bool:
        return self._state.available

    @available.setter
    def available(self, available: bool) -> None:
        self._state.available = available

    @property
    def read_only(self) -> bool:
        return self._state.read_only

    @read_only.setter
    def read_only(self, read_only: bool) -> None:
        self._state.read_only = read_only

    def interactions(self) -> list[Interaction]:
        """The records of all ended runs, in the order of their ends; also of deleted threads."""
        return list(self._state.interactions.values())
