"""Who else may use the store."""

from collections.abc import Awaitable, Callable

from chatorch.adapters.sql import StoreLock, open_lock
from chatorch.entrypoints.settings import Settings


def store_lock_of(settings: Settings) -> StoreLock:
    """With Redis, processes share the store, and leases decide; without, one process has it to itself."""
    return open_lock(settings.database_url, shared=settings.redis_url is not None)


def confirming(store_lock: StoreLock | None) -> Callable[[], Awaitable[None]] | None:
    """What raises unless the lock is held at that moment; None where there is no lock."""
    return None if store_lock is None else store_lock.confirm
