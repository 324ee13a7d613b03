"""Transactions on PostgreSQL, each on one connection of a pool, within a greenlet."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.util import await_only

from chatorch.adapters.sql.access import lock_owner
from chatorch.adapters.sql.database import T, Work
from chatorch.domain.model.identity import UserId

_HARDLY_WAIT = text("SET LOCAL lock_timeout = '100ms'")


def transact(engine: Engine, work: Work[T]) -> T:
    with engine.connect() as connection, _ended_by_silence(connection):
        transaction = connection.begin()
        result = work(connection)
        transaction.commit()
        return result


def transact_from(engine: Engine, begin: str, work: Work[T]) -> T:
    """Begins with statements that take no parameters, all in one journey. `engine` begins none itself."""
    with engine.connect() as connection, _ended_by_silence(connection):
        driver: Any = connection.connection.driver_connection
        try:
            await_only(driver.execute(begin))
            result = work(connection)
            await_only(driver.execute("COMMIT"))
        except OSError:
            raise
        except BaseException:
            if not driver.is_closed():
                await_only(driver.execute("ROLLBACK"))
            raise
        return result


@contextmanager
def _ended_by_silence(connection: Connection) -> Iterator[None]:
    """Nobody gets the connection again where an answer did not come: the server may be busy with the statement still.

    Nor is there time to say goodbye.
    """
    driver = connection.connection.driver_connection
    try:
        yield
    except OSError:  # a time-out among them
        if driver is not None:
            driver.terminate()
        connection.invalidate()
        raise


def locked(owner: str, work: Work[T], connection: Connection) -> T:
    lock_owner(connection, UserId(owner))
    return work(connection)


def without_waiting(work: Work[T], connection: Connection) -> T:
    connection.execute(_HARDLY_WAIT)
    return work(connection)
