"""Which clock tells the time of day."""

from chatorch.adapters.sql import Database
from chatorch.adapters.sql.store_clock import StoreClock, read_time
from chatorch.entrypoints.settings import Settings
from chatorch.ports.system import Clock


def choose_clock(settings: Settings, own: Clock, database: Database) -> Clock:
    """The database's, where several machines may use it; one that is a file has the machine's own."""
    return own if settings.database_url.startswith("sqlite") else StoreClock(own, database)


async def ahead_of_store_s(settings: Settings, own: Clock, database: Database) -> float | None:
    """By how much this machine's clock is ahead of the database's; None where that is a file."""
    if settings.database_url.startswith("sqlite"):
        return None
    there = await read_time(database)
    return (own.now() - there).total_seconds()


async def keep_set(clock: Clock) -> None:
    """For ever, where it is one that is to be set."""
    if isinstance(clock, StoreClock):
        await clock.keep_set()
