"""Who else may use the store."""

from collections.abc import Awaitable, Callable

from chatorch.adapters.sql import StoreLock, StoreLocked, open_lock
from chatorch.entrypoints.settings import Settings


def store_lock_of(settings: Settings) -> StoreLock:
    """With Redis, processes share the store, and leases decide; without, one process has it to itself."""
    return open_lock(settings.database_url, shared=settings.redis_url is not None)


async def lock_state(store_lock: StoreLock) -> str:
    """Tries the lock, and gives it back. Raises `StoreLocked` where a server without REDIS_URL is in the way."""
    free = "it can be shared with other servers" if store_lock.shared else "it is free: no server runs on this store"
    if store_lock.is_new():  # trying would make its file, as this user's own
        return free
    try:
        await store_lock.acquire()
    except StoreLocked:
        if store_lock.shared:
            raise
        return "a server holds it"
    await store_lock.release()
    return free


def confirming(store_lock: StoreLock | None) -> Callable[[], Awaitable[None]] | None:
    """What raises unless the lock is held at that moment; None where there is no lock."""
    return None if store_lock is None else store_lock.confirm
