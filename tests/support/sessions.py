"""The ledger of ChatKit sessions beside a store in memory."""

from weakref import WeakKeyDictionary

from chatorch.adapters.memory.chatkit_hosted import MemoryChatKitSessionStore
from chatorch.adapters.memory.stores import MemoryStore

_ledgers: WeakKeyDictionary[MemoryStore, MemoryChatKitSessionStore] = WeakKeyDictionary()


def sessions_in(store: MemoryStore) -> MemoryChatKitSessionStore:
    """The same for all who share the store."""
    return _ledgers.setdefault(store, MemoryChatKitSessionStore(store.state))
