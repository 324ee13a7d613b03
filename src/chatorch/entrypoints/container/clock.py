"""Which clock tells the time of day."""

from chatorch.adapters.sql import Database
from chatorch.adapters.sql.store_clock import StoreClock
from chatorch.entrypoints.settings import Settings
from chatorch.ports.system import Clock


def choose_clock(settings: Settings, own: Clock, database: Database) -> Clock:
    """The database's, where several machines may use it; one that is a file has the machine's own."""
    return own if settings.database_url.startswith("sqlite") else StoreClock(own, database)


async def keep_set(clock: Clock) -> None:
    """For ever, where it is one that is to be set."""
    if isinstance(clock, StoreClock):
        await clock.keep_set()
