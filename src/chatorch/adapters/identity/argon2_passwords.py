"""Password hashes with Argon2id (RFC 9106), on argon2-cffi, which lets go of the interpreter lock while it works."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher as Argon2
from argon2.exceptions import HashingError, VerificationError, VerifyMismatchError

from chatorch.domain.model.errors import Draining, Overloaded
from chatorch.ports.passwords import PasswordHasher

T = TypeVar("T", str, bool)

OWASP_MEMORY_KIB = 19456
OWASP_ITERATIONS = 2
OWASP_LANES = 1

NICENESS = 10
"""Of a processor that both want, the event loop gets nine tenths."""


class Argon2PasswordHasher(PasswordHasher):
    """Hashes in a small pool of threads. The defaults are OWASP's (Password Storage Cheat Sheet, Argon2id: 19 MiB,
    two iterations, one lane).

    `workers` hash at once, `max_waiting` more may wait, and beyond that, or where the memory is not to be had,
    `Overloaded` is raised. A hash made with other parameters is verified with its own. After `aclose` both methods
    raise `Draining`. Parameters that Argon2 does not have (8 KiB a lane are the least) are a `ValueError`.
    """

    def __init__(
        self,
        *,
        memory_kib: int = OWASP_MEMORY_KIB,
        iterations: int = OWASP_ITERATIONS,
        lanes: int = OWASP_LANES,
        workers: int = 2,
        max_waiting: int = 64,
    ) -> None:
        if lanes < 1 or iterations < 1 or memory_kib < 8 * lanes:
            raise ValueError("Argon2 needs a lane, an iteration and 8 KiB a lane")
        self._argon2 = Argon2(time_cost=iterations, memory_cost=memory_kib, parallelism=lanes)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="argon2", initializer=_give_way)
        self._places = threading.Semaphore(workers + max_waiting)

    async def hash(self, password: str) -> str:
        return await self._in_pool(lambda: self._hash(_encoded(password)))

    async def verify(self, password_hash: str, password: str) -> bool:
        return await self._in_pool(lambda: self._verify(password_hash, _encoded(password)))

    async def aclose(self) -> None:
        """Takes no more work, and returns when what was taken is done."""
        await asyncio.to_thread(self._pool.shutdown)

    async def _in_pool(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise Overloaded
        try:
            future = self._pool.submit(work)
        except RuntimeError:
            self._places.release()
            raise Draining from None
        # Not in a `finally` here: a caller that gives up leaves its work behind in the pool.
        future.add_done_callback(self._free_place)
        return await asyncio.wrap_future(future)

    def _free_place(self, _: Future[T]) -> None:
        self._places.release()

    def _hash(self, password: bytes) -> str:
        try:
            return self._argon2.hash(password)
        except HashingError:  # the memory for it is not to be had
            raise Overloaded from None

    def _verify(self, password_hash: str, password: bytes) -> bool:
        try:
            return self._argon2.verify(password_hash, password)
        except VerifyMismatchError:
            return False
        except (VerificationError, ValueError):
            # No hash: hashing is the same work as verifying, so the time does not tell.
            self._hash(password)
            return False


def _give_way() -> None:
    """Lets the event loop go first, so that streams flow on. On Linux, nice(2) is the calling thread's alone."""
    if sys.platform == "linux":
        os.nice(NICENESS)


def _encoded(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
