"""The lock on an SQLite file."""

import asyncio
import fcntl
import logging
import os
from pathlib import Path

from chatorch.adapters.sql.errors import outages_translated
from chatorch.adapters.sql.lock import LOST, StoreLock, StoreLocked, refusal
from chatorch.domain.model.errors import StoreUnavailable

_logger = logging.getLogger(__name__)

LOOK_EVERY = 0.5
SETTLE = 1.5
"""Longer than a process whose lock file was removed needs to see that."""
_ATTEMPTS = 10


class SqliteLock(StoreLock):
    """``flock(2)`` on a file beside the database, ``<file>.lock``. The file stays; only the lock on it counts.

    Whoever removes the file lets two processes hold a lock of that name. So its holder looks whether it is still there,
    and who has to make it beside a database that looks as if it were open gives an earlier holder the time to see it.
    """

    def __init__(
        self, database: Path, *, shared: bool = False, look_every: float = LOOK_EVERY, settle: float = SETTLE
    ) -> None:
        super().__init__(shared=shared)
        self._look_every = look_every
        self._settle = settle
        self._database = database
        self._path = database.with_name(database.name + ".lock")
        self._descriptor: int | None = None

    def is_new(self) -> bool:
        return not os.path.exists(self._path)  # noqa: PTH110  # a folder that may not be searched is told later

    async def acquire(self) -> None:
        with outages_translated(logged=False):
            new = self.is_new()
            self._take()
        try:
            # SQLite removes this one when the last connection is closed, so another process has one, or died.
            if new and self._database.with_name(self._database.name + "-shm").exists():
                await asyncio.sleep(self._settle)
                await self.confirm()
        except BaseException:
            self._drop()
            raise
        self._look_after()

    async def confirm(self) -> None:
        if not self._held():
            raise StoreUnavailable(f"{LOST}: the file {self._path.name} was removed.")

    async def _give_back(self) -> None:
        if self._descriptor is not None and not self.shared:
            os.ftruncate(self._descriptor, 0)
        self._drop()

    def _take(self) -> None:
        for _ in range(_ATTEMPTS):  # it may be removed between opening and locking
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
                os.close(descriptor)
                raise StoreLocked(refusal(f" {self._database}", f" (pid {holder})" if holder else "")) from None
            except OSError:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
            if self._held():
                break
            self._drop()
        else:
            raise FileNotFoundError(f"{self._path.name} is removed all the time")
        # Who is alone is named; nobody must find, and signal, the id of a process that is gone.
        os.ftruncate(descriptor, 0)
        if not self.shared:
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)

    def _held(self) -> bool:
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False

    def _drop(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def _keep(self) -> None:
        lost = False
        while True:
            await asyncio.sleep(self._look_every)
            if self._held():
                continue
            if not lost:
                _logger.warning("the lock on the store was lost: the file %s was removed; taking it again", self._path)
                lost = True
            self._drop()
            try:
                self._take()
            except StoreLocked as error:
                self._lost_to(error)
            except OSError:
                pass
            else:
                _logger.warning("the lock on the store is held again")
                lost = False

    def _lost_to(self, error: StoreLocked) -> None:
        if not self._taken.is_set():
            _logger.error("another process took the lock on the store: %s", error)
            self._taken.set()
