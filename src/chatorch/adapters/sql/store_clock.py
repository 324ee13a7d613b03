"""The time of day as the database has it, which is the one clock that all machines of a service have in common."""

from datetime import UTC, datetime

import structlog
from sqlalchemy import Connection, func, select

from chatorch.adapters.sql.database import Database
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.ports.system import Clock

EVERY_S = 5.0
AGREES_S = 0.5
"""So far two clocks may be apart: a journey to the database is not known better, and time should not run unevenly."""
WORTH_TELLING_S = 5.0
SLOW_S = 2.0

_NOW = select(func.clock_timestamp())

log = structlog.get_logger(__name__)


class StoreClock(Clock):
    """Goes by the machine's monotonic clock from where the database's stood, so that the machine's own may jump.

    Until it was `set`, and where the database is no server, it is the machine's. The database is asked every few
    seconds; while it is away, time goes on.
    """

    def __init__(self, own: Clock, database: Database) -> None:
        self._own = own
        self._database = database
        self._began: float | None = None
        self._told = 0.0

    def now(self) -> datetime:
        if self._began is None:
            return self._own.now()
        return datetime.fromtimestamp(self._began + self._own.monotonic(), UTC)

    def monotonic(self) -> float:
        return self._own.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._own.sleep(seconds)

    async def set(self) -> None:
        """Raises `StoreUnavailable`. An answer that took long tells nothing."""
        asked = self._own.monotonic()
        there = await self._database.read(_now)
        came = self._own.monotonic()
        if came - asked > SLOW_S:
            return
        began = there.timestamp() - (asked + came) / 2
        here = self._own.now().timestamp() - came
        self._tell(here - began)
        if self._began is None and abs(here - began) <= AGREES_S:
            self._began = here
        elif self._began is None or abs(self._began - began) > AGREES_S:
            self._began = began

    async def keep_set(self) -> None:
        """For ever."""
        while True:
            try:
                await self.set()
            except StoreUnavailable:
                log.debug("clock_not_set")
            except Exception:  # the next time must come
                log.exception("clock_failed")
            await self._own.sleep(EVERY_S)

    def _tell(self, ahead_s: float) -> None:
        """Once for each time that the machine's clock goes astray."""
        if abs(ahead_s - self._told) > WORTH_TELLING_S:
            self._told = ahead_s
            log.warning("clock_differs", ahead_of_database_s=round(ahead_s, 1))


async def read_time(database: Database) -> datetime:
    """The database's own. Raises `StoreUnavailable`."""
    return await database.read(_now)


def _now(connection: Connection) -> datetime:
    time: datetime = connection.execute(_NOW).scalar_one()
    return time
