"""One row that somebody has locked by hand: its owner waits, and nobody else."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import pytest

from chatorch.adapters.sql.fair_shares import Turns
from chatorch.adapters.sql.postgres import PostgresDatabase
from chatorch.domain.model.conversation import ThreadId
from chatorch.domain.model.errors import StoreUnavailable, ThreadBusy
from chatorch.domain.model.identity import UserId
from chatorch.ports.threads import ThreadChange
from tests.adapters.sql.test_lock import _address
from tests.support.postgres import Databases
from tests.support.sizes import size
from tests.support.stores import ANN, ending, new_run, sql_stores, turn

OTHERS = 8
ROWS = {
    "the thread": "SELECT 1 FROM threads WHERE id = 'thr_locked' FOR UPDATE",
    "a message": "SELECT 1 FROM messages WHERE thread_id = 'thr_locked' FOR UPDATE",
    "a run": "SELECT 1 FROM runs WHERE thread_id = 'thr_locked' FOR UPDATE",
}


@pytest.fixture
async def url(postgres: Databases) -> str:
    return await postgres.fresh()


@pytest.fixture
async def database(url: str) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(_address(url))
    yield database
    await database.close()


async def _served(database: PostgresDatabase, rounds: int, prefix: str) -> list[float]:
    """How long each answer took, for owners who all have a turn, a change and a look, and do it again."""
    stores, took = sql_stores(database), []

    async def owner(number: int) -> None:
        who = UserId(f"user_{prefix}_{number}")
        for step in range(rounds):
            name = f"{prefix}_{number}_{step}"
            new = new_run(name, owner=who)
            change = ThreadChange(title="x")
            for doing in (
                stores.runs.open_run(new, turn(name, name, opens=True)),
                stores.threads.update_thread(who, ThreadId(f"thr_{name}"), change, new.now),
                stores.execution_store.finish(ending(name)),
                stores.runs.read_run(who, new.run_id),
            ):
                began = time.perf_counter()
                await doing
                took.append(time.perf_counter() - began)

    await asyncio.gather(*(owner(number) for number in range(OTHERS)))
    return took


def p99(took: list[float]) -> float:
    return statistics.quantiles(took, n=100)[98]


@pytest.mark.soak
@pytest.mark.parametrize("row", ROWS)
async def test_one_row_locked_in_a_terminal_starves_nobody_but_its_owner(
    url: str, database: PostgresDatabase, row: str
) -> None:
    """12 requests of the owner; p99 of the others at most doubled."""
    stores, rounds = sql_stores(database), size(4, 100)
    await stores.runs.open_run(new_run("locked"), turn("locked", "locked", opens=True))
    await _served(database, 1, "warm")
    alone = await _served(database, rounds, "alone")
    terminal = await asyncpg.connect(url)
    transaction = terminal.transaction()
    await transaction.start()
    await terminal.execute(ROWS[row])

    locked = True

    async def ask(number: int) -> None:
        run = new_run(f"more{number}")
        match number % 3:
            case 0:
                await stores.threads.delete_thread(ANN, ThreadId("thr_locked"), run.now)
            case 1:
                await stores.runs.request_cancel(ANN, ending("locked").run_id)
            case 2:
                await stores.runs.open_run(run, turn(f"more{number}", "locked"))

    async def ask_on(number: int) -> None:
        with suppress(ThreadBusy):
            while locked:
                with suppress(StoreUnavailable):
                    await ask(number)

    asked = [asyncio.create_task(ask_on(number)) for number in range(12)]
    await asyncio.sleep(0)
    beside = await _served(database, rounds, "beside")

    locked = False
    await transaction.rollback()
    await terminal.close()
    await asyncio.gather(*asked, return_exceptions=True)
    assert p99(beside) <= 2 * p99(alone) + 0.05, "and the machine may have other work"
    assert database.in_use() == 0


async def test_who_waits_for_a_lock_for_too_long_is_told_to_come_again(url: str) -> None:
    database = PostgresDatabase(_address(url), lock_timeout=0.2, pool_timeout=0.3)
    stores = sql_stores(database)
    await stores.runs.open_run(new_run("locked"), turn("locked", "locked", opens=True))
    terminal = await asyncpg.connect(url)
    async with terminal.transaction():
        await terminal.execute(ROWS["the thread"])
        change = ThreadChange(title="x")
        asked = [stores.threads.update_thread(ANN, ThreadId("thr_locked"), change, new_run("x").now) for _ in range(12)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert "55P03" in str(outcomes[0])
    assert "wait" in str(outcomes[-1])
    assert all(outcome.retry_after >= 1 for outcome in outcomes if isinstance(outcome, StoreUnavailable))
    await stores.threads.update_thread(ANN, ThreadId("thr_locked"), change, new_run("x").now)
    await terminal.close()
    await database.close()


async def test_turns_go_round_in_their_order_and_none_is_lost_with_who_leaves() -> None:
    turns, order = Turns(share=2, patience=5), []
    for _ in range(2):
        await turns.take("ann")
    await turns.take("bob")

    async def wait(name: str) -> None:
        await turns.take("ann")
        order.append(name)

    waiting = {name: asyncio.create_task(wait(name)) for name in "abcd"}
    await asyncio.sleep(0)
    waiting["b"].cancel()
    turns.give_back("ann")
    waiting["a"].cancel()  # its turn had come
    await asyncio.sleep(0)
    turns.give_back("ann")
    async with asyncio.timeout(5):
        await asyncio.gather(waiting["c"], waiting["d"])

    assert order == ["c", "d"]
    for _ in range(2):
        turns.give_back("ann")
    turns.give_back("bob")
    assert turns.out() == 0


async def test_a_queue_that_is_long_takes_nobody_in() -> None:
    turns = Turns(share=1, patience=5, most_waiting=1)
    await turns.take("ann")
    waiting = asyncio.create_task(turns.take("ann"))
    await asyncio.sleep(0)

    with pytest.raises(StoreUnavailable) as refused:
        await turns.take("ann")

    assert refused.value.retry_after == 5
    turns.give_back("ann")
    await waiting
    turns.give_back("ann")
    assert turns.out() == 0
