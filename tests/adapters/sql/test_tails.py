"""What tails cost, and what the version before them sees and does, which may run beside this one for a while."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection, text

from chatorch.adapters.sql import Database, migrate, open_database, schema
from chatorch.domain.model.conversation import RunId, ThreadId
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.run import RunStatus
from chatorch.ports.execution_store import Checkpoint
from tests.support.postgres import Databases
from tests.support.sizes import size
from tests.support.stores import ANN, Stores, at, ending, new_run, sql_stores, turn

RUN, THREAD = RunId("run_r"), ThreadId("thr_t")
WHOLE = "begin 🙂 and more, and more"


@pytest.fixture
async def stores(database: Database) -> Stores:
    """With one live run that has said `WHOLE`, twelve code points of it in its message."""
    stores = sql_stores(database)
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))
    for start, end in ((0, 12), (12, 17), (17, len(WHOLE))):
        await stores.execution_store.checkpoint([Checkpoint(RUN, 1, WHOLE[start:end], start)])
    return stores


def run_sql(*statements: str):
    def work(connection: Connection) -> list[object]:
        results = [connection.execute(text(statement)) for statement in statements]
        return list(results[-1]) if results[-1].returns_rows else []

    return work


def by_the_version_before(content: str | None = None):
    """Its reaper: it interrupts, and writes a text where it was told one that is longer than by the row's position."""
    saved = [f"UPDATE messages SET content = '{content}' WHERE id = 'msg_r_answer'"] if content else []
    return run_sql(
        *saved,
        "UPDATE runs SET status = 'interrupted', epoch = 2, seq = seq + 100 WHERE id = 'run_r'",
        "UPDATE messages SET status = 'incomplete' WHERE id = 'msg_r_answer'",
    )


async def shown(stores: Stores) -> set[str]:
    run = await stores.runs.read_run(ANN, RUN)
    page = await stores.threads.list_messages(ANN, THREAD, PageRequest())
    return {run.text, page.items[-1].content}


async def test_the_version_before_reads_the_beginning(database: Database, stores: Stores) -> None:
    [(content,)] = await database.read(run_sql("SELECT content FROM messages WHERE id = 'msg_r_answer'"))

    assert content == WHOLE[:12]
    assert await shown(stores) == {WHOLE}


async def test_what_the_version_before_interrupts_has_lost_nothing(database: Database, stores: Stores) -> None:
    await database.write(by_the_version_before())

    assert await shown(stores) == {WHOLE}
    opened = await stores.runs.open_run(new_run("next"), turn("next", "t", "go on"))
    assert opened.history[1].content == WHOLE

    await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90))
    assert await stores.leftovers() == 0
    assert await shown(stores) == {WHOLE, ""}
    assert (await stores.runs.read_run(ANN, RUN)).text == WHOLE


async def test_the_longer_text_that_the_version_before_rescues_is_not_said_twice(
    database: Database, stores: Stores
) -> None:
    await database.write(by_the_version_before(f"{WHOLE}, and the rest"))

    assert await shown(stores) == {f"{WHOLE}, and the rest"}
    await stores.runs.open_run(new_run("next"), turn("next", "u", opens=True))
    await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90))
    assert await shown(stores) == {f"{WHOLE}, and the rest"}
    assert await stores.leftovers() == 0


async def test_a_run_that_the_version_before_cancels_or_whose_thread_it_deletes_leaves_nothing(
    database: Database, stores: Stores
) -> None:
    await database.write(run_sql("UPDATE runs SET cancel_requested = true WHERE id = 'run_r'"))
    assert (await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "!", len(WHOLE))]))[RUN].value == "cancel"
    await stores.execution_store.finish(ending("r", f"{WHOLE}!", status=RunStatus.CANCELLED))
    assert await shown(stores) == {f"{WHOLE}!"}

    await database.write(run_sql("DELETE FROM threads"))
    assert await stores.leftovers() == 0


async def test_going_back_to_the_schema_before_loses_no_text(database: Database, stores: Stores) -> None:
    await database.alter(lambda connection: schema.downgrade(connection, "0003"))

    [(content,)] = await database.read(run_sql("SELECT content FROM messages WHERE id = 'msg_r_answer'"))
    assert content == WHOLE
    await migrate(database)
    assert await shown(stores) == {WHOLE}


async def test_checkpoints_and_ends_that_cross_leave_no_tails(database: Database, stores: Stores) -> None:
    for round_ in range(size(10, 100)):
        name = f"x{round_}"
        run = RunId(f"run_{name}")
        await stores.runs.open_run(new_run(name), turn(name, name, opens=True))
        await stores.execution_store.checkpoint([Checkpoint(run, 1, "begin ")])
        await asyncio.gather(
            *(stores.execution_store.checkpoint([Checkpoint(run, 1, "more", 6)]) for _ in range(3)),
            stores.execution_store.finish(ending(name, "begin more")),
            stores.execution_store.checkpoint([Checkpoint(run, 1, "begin more")]),
        )
        assert (await stores.runs.read_run(ANN, run)).text == "begin more"
    await stores.execution_store.finish(ending("r", WHOLE))
    assert await stores.leftovers() == 0


LIVE = size(4, 36)
LONG = "".join(f"{number:x} " for number in range(175_000))[:1_000_000]


@pytest.mark.soak
async def test_a_long_text_is_not_written_again_with_each_checkpoint(postgres: Databases) -> None:
    url = await postgres.fresh()
    database = open_database(url)
    connection = await asyncpg.connect(url)

    async def written() -> int:
        return int(await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"))

    stores = sql_stores(database)
    runs = [RunId(f"run_{index}") for index in range(LIVE)]
    for index in range(LIVE):
        await stores.runs.open_run(new_run(f"{index}"), turn(f"{index}", f"{index}", opens=True))
    await stores.execution_store.checkpoint([Checkpoint(run, 1, LONG) for run in runs])
    before = await written()
    for round_ in range(20):
        await stores.execution_store.checkpoint([Checkpoint(run, 1, "x" * 40, len(LONG) + 40 * round_) for run in runs])

    assert await written() - before < 20 * LIVE * 2000
    assert (await stores.runs.read_run(ANN, runs[0])).text == LONG + "x" * 800
    await connection.close()
    await database.close()


async def test_a_short_answer_writes_no_tail(sqlite_path: Path) -> None:
    database = open_database(f"sqlite:///{sqlite_path}")
    stores = sql_stores(database)
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))

    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "short")])

    assert await stores.leftovers() == 0
    await database.close()
