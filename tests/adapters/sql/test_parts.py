"""What parts cost, what others do beside them, and what the version before sees and does, which knows none."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, Pool, event, text

from chatorch.adapters.sql import Database, migrate, open_database, schema
from chatorch.adapters.sql.postgres import PostgresDatabase
from chatorch.domain.model.content import START, Content
from chatorch.domain.model.conversation import RunId, ThreadId, Usage, UsageSource
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import EPOCH_SPAN, LastContent, terminal_event
from chatorch.domain.model.transcript import replay
from chatorch.ports.execution_store import Ownership
from tests.adapters.sql.test_held import held
from tests.adapters.sql.test_tails import by_the_version_before, run_sql
from tests.support.parts import ANSWER, Executor, begin
from tests.support.postgres import Databases
from tests.support.sizes import size
from tests.support.stores import ANN, Stores, at, ending, new_run, sql_stores, turn

RUN, THREAD = RunId("run_r"), ThreadId("thr_t")


@pytest.fixture
def stores(database: Database) -> Stores:
    return sql_stores(database)


async def shown(stores: Stores, name: str = "r", thread: str = "t") -> Content:
    run = await stores.runs.read_run(ANN, RunId(f"run_{name}"))
    page = await stores.threads.list_messages(ANN, ThreadId(f"thr_{thread}"), PageRequest())
    assert page.items[-1].whole == run.content
    return run.content


# -- what they cost ----------------------------------------------------------------------------------------------------


@contextmanager
def statements() -> Iterator[list[str]]:
    """What SQLite is given, on connections that are made meanwhile."""
    told: list[str] = []

    def tell(statement: str) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            told.append(statement)

    def connected(connection: Any, _record: object) -> None:
        connection.set_trace_callback(tell)

    event.listen(Pool, "connect", connected)
    yield told
    event.remove(Pool, "connect", connected)


async def live_through(stores: Stores, name: str, content: Content, *cuts: int) -> None:
    """Begins, checkpoints, is read in every way, and ends."""
    executor = await begin(stores, name, name)
    await executor.save(stores, content, *cuts)
    assert await shown(stores, name, name) == content.upto(max(cuts))
    await stores.execution_store.finish(ending(name, content))
    assert await shown(stores, name, name) == content
    await stores.runs.open_run(new_run(f"{name}b"), turn(f"{name}b", name))
    told = {RunId(f"run_{name}b"): LastContent(1, content)}
    await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90), told)


async def test_what_is_nothing_but_text_costs_no_statement(sqlite_path: Path) -> None:
    """As many as before there were parts, for all of a run's life; parts cost a few for each time they are saved."""
    database = open_database(f"sqlite:///{sqlite_path}")
    stores, content = sql_stores(database), Content.of("some text")
    with statements() as told:
        await live_through(stores, "text", content, 4, 6)
        of_text = list(told)
        told.clear()
        await live_through(stores, "parts", ANSWER, 8, 14)
    assert len(of_text) <= 43
    assert not any(each for each in of_text if "message_parts" in each and not each.startswith("SELECT"))
    saved, whole = 2 * 2, len(ANSWER.parts)
    assert len(told) <= 43 + saved + 2 * whole
    await database.close()


async def test_what_is_read_beside_a_writer_is_of_one_moment(url: str, stores: Stores) -> None:
    """Text and parts, and the position."""
    long = Content(tuple(replace(part, body=part.body * 4) for part in ANSWER.parts))
    executor, other = await begin(stores), open_database(url)
    reading, done = sql_stores(other), False

    async def read() -> int:
        seen = set()
        while not done:
            run = await reading.runs.read_run(ANN, RUN)
            page = await reading.threads.list_messages(ANN, THREAD, PageRequest())
            message = page.items[-1].whole
            assert run.content == long.upto(run.content.tip)
            assert run.seq == run.content.tip + (not run.status.live)
            assert message == long.upto(message.tip)
            seen.add(run.seq)
        return len(seen)

    readers = [asyncio.ensure_future(read()) for _ in range(2)]
    await executor.save(stores, long, *range(START + 1, long.tip, size(9, 1)))
    await stores.execution_store.finish(ending("r", long))
    done = True
    assert min(await asyncio.gather(*readers)) > 3
    await other.close()


async def test_checkpoints_and_ends_that_cross_leave_what_the_end_said(stores: Stores) -> None:
    for round_ in range(size(6, 60)):
        name = f"x{round_}"
        executor = await begin(stores, name, name)
        await executor.save(stores, ANSWER, 9)
        said = Content.of("Well, no") if round_ % 2 else ANSWER
        await asyncio.gather(
            *(stores.execution_store.checkpoint([executor.checkpoint(ANSWER.upto(cut))]) for cut in (12, 20, 30)),
            stores.execution_store.finish(ending(name, said)),
            stores.execution_store.checkpoint([executor.checkpoint(ANSWER, whole=True)]),
        )
        assert await shown(stores, name, name) == said
    assert await stores.part_rows() == size(6, 60) // 2 * (len(ANSWER.parts) - 1)
    assert await stores.leftovers() == 0


async def test_ends_that_race_leave_the_content_of_one(stores: Stores) -> None:
    for round_ in range(size(4, 40)):
        name = f"x{round_}"
        executor = await begin(stores, name, name)
        await executor.save(stores, ANSWER, 9, 14)
        seen = await stores.execution_store.live_runs()
        last_content = ANSWER.upto(20)
        finished, interrupted = await asyncio.gather(
            stores.execution_store.finish(ending(name, ANSWER)),
            stores.execution_store.interrupt(seen, at(9), {RunId(f"run_{name}"): LastContent(1, last_content)}),
        )
        assert finished is not bool(interrupted)
        assert await shown(stores, name, name) == (ANSWER if finished else last_content)


# -- what others hold --------------------------------------------------------------------------------------------------


@pytest.fixture
async def postgres_url(postgres: Databases) -> str:
    return await postgres.fresh()


async def test_a_message_that_is_held_gets_no_parts_and_holds_nobody_up(postgres_url: str) -> None:
    database = open_database(postgres_url)
    stores = sql_stores(database)
    executors = {name: await begin(stores, name, name) for name in ("a", "b", "c")}
    for executor in executors.values():
        await executor.save(stores, ANSWER, 9)

    async with held(postgres_url, "SELECT 1 FROM messages WHERE id = 'msg_b_answer' FOR UPDATE"):
        async with asyncio.timeout(2):
            ownerships = await stores.execution_store.checkpoint(
                [executor.checkpoint(ANSWER) for executor in executors.values()]
            )
    assert [ownerships[RunId(f"run_{name}")] for name in "abc"] == [Ownership.MINE, Ownership.HELD, Ownership.MINE]
    assert {run.heartbeat for run in await stores.execution_store.live_runs()} == {2}
    assert [await shown(stores, name, name) for name in "abc"] == [ANSWER, ANSWER.upto(9), ANSWER]
    await executors["b"].save(stores, ANSWER)
    assert await shown(stores, "b", "b") == ANSWER
    await database.close()


@pytest.mark.parametrize("where", ["messages", "message_parts"])
async def test_who_ends_abandoned_runs_waits_for_no_row_of_theirs(postgres_url: str, where: str) -> None:
    database = open_database(postgres_url)
    stores = sql_stores(database)
    for name in "ab":
        await (await begin(stores, name, name)).save(stores, ANSWER, 9)
    seen = await stores.execution_store.witness()
    known = {RunId(f"run_{name}"): LastContent(1, ANSWER) for name in "ab"}
    column = "id" if where == "messages" else "message_id"

    async with held(postgres_url, f"SELECT 1 FROM {where} WHERE {column} = 'msg_b_answer' FOR UPDATE"):
        async with asyncio.timeout(2):
            assert list(await stores.execution_store.interrupt(seen[:1], at(1), known)) == [seen[0].run_id]
            if where == "messages":
                assert list(await stores.execution_store.interrupt(seen, at(1), known)) == []
    await stores.execution_store.interrupt(seen, at(2), known)
    assert [await shown(stores, name, name) for name in "ab"] == [ANSWER, ANSWER]
    await database.close()


async def test_one_run_s_bad_text_loses_nobody_s_heartbeat(database: Database, stores: Stores) -> None:
    """As it is with a text: the batch is refused or kept, and goes in without what is new."""
    rows = 0
    for number, (bad, where) in enumerate(product(["NUL \0", "half \ud800"], ["body", "head", "text"])):
        good, other = [await begin(stores, f"{name}{number}", f"{name}{number}") for name in ("good", "bad")]
        part = Part(PartKind.REASONING, {"id": bad} if where == "head" else {}, bad if where == "body" else "fine")
        content = Content((Part(PartKind.TEXT, {}, bad if where == "text" else ""), part))
        batch = [good.checkpoint(ANSWER), other.checkpoint(content)]
        try:
            await stores.execution_store.checkpoint(batch)
        except Exception:
            assert where != "head"
            await stores.execution_store.checkpoint([replace(each, text=None, parts=()) for each in batch])
        else:
            assert where == "head" or not isinstance(database, PostgresDatabase)
            assert await shown(stores, good.name, good.name) == ANSWER
            assert await shown(stores, other.name, other.name) == content
            rows += len(ANSWER.parts)
        assert await stores.part_rows() == rows
        assert {run.heartbeat for run in await stores.execution_store.live_runs()} == {1}


# -- the version before ------------------------------------------------------------------------------------------------


async def test_the_version_before_sees_the_text_and_interrupts_without_loss(database: Database, stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, ANSWER, 9, 14, 33)
    [(content,)] = await database.read(run_sql("SELECT content FROM messages WHERE id = 'msg_r_answer'"))
    assert ANSWER.text.startswith(content)

    await database.write(by_the_version_before())

    assert await shown(stores) == ANSWER.upto(33)
    opened = await stores.runs.open_run(new_run("next"), turn("next", "t", "go on"))
    assert opened.history[1].content == ANSWER.upto(33).text
    await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90))
    assert await stores.leftovers() == 0
    assert (await stores.runs.read_run(ANN, RUN)).content == ANSWER.upto(33)


async def test_a_longer_text_that_the_version_before_rescues_is_kept_with_the_parts(
    database: Database, stores: Stores
) -> None:
    await (await begin(stores)).save(stores, ANSWER, 9, 14)
    await database.write(by_the_version_before(f"{ANSWER.text} and on"))
    kept = await shown(stores)
    assert kept.text == f"{ANSWER.text} and on"
    assert kept.parts[1] == ANSWER.upto(14).parts[1]
    run = await stores.runs.read_run(ANN, RUN)
    assert list(replay(run, after=run.seq - 1))[-1] == terminal_event(run)


async def test_what_the_version_before_deletes_leaves_no_part(database: Database, stores: Stores) -> None:
    for name in "ab":
        await (await begin(stores, name, name)).save(stores, ANSWER, 9, 14)
    await database.write(run_sql("DELETE FROM threads WHERE id = 'thr_a'", "DELETE FROM messages"))
    assert await stores.part_rows() == 0


async def test_going_back_keeps_the_text_and_coming_again_reads_it(database: Database, stores: Stores) -> None:
    await begin(stores, "done", "done")
    await stores.execution_store.finish(ending("done", ANSWER, usage=Usage(1, 2, 3, UsageSource.PROVIDER, 1, 1)))
    await (await begin(stores)).save(stores, ANSWER, 9, 14, 33)

    await database.alter(lambda connection: schema.downgrade(connection, "0005"))
    contents = dict(await database.read(run_sql("SELECT id, content FROM messages")))
    assert contents["msg_done_answer"] == ANSWER.text
    await migrate(database)

    assert await shown(stores, "done", "done") == Content.of(ANSWER.text)
    assert await shown(stores) == Content.of(ANSWER.upto(33).text)
    run = await stores.runs.read_run(ANN, RunId("run_done"))
    assert list(replay(run, after=0))[-1] == terminal_event(run)
    await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90))
    assert await shown(stores) == Content.of(ANSWER.upto(33).text)


OLD = """
    INSERT INTO threads (id, owner_id, title, metadata, created_at, updated_at)
    VALUES ('thr_{n}', 'usr_ann', 'T', '{{}}', {now}, {now});
    INSERT INTO messages (id, thread_id, position, role, content, status, created_at, run_id, metadata, superseded)
    VALUES ('msg_{n}_q', 'thr_{n}', 1, 'user', 'hello', 'complete', {now}, NULL, '{{}}', {false}),
           ('msg_{n}_answer', 'thr_{n}', 2, 'assistant', 'begin 🙂', '{message}', {now}, 'run_{n}', '{{}}', {false});
    INSERT INTO runs (id, thread_id, owner_id, user_message_id, message_id, status, model, created_at, epoch, seq,
                      heartbeat, cancel_requested, finished_at, finish_reason, prompt_tokens, completion_tokens,
                      total_tokens, usage_source)
    VALUES ('run_{n}', 'thr_{n}', 'usr_ann', 'msg_{n}_q', 'msg_{n}_answer', '{run}', 'm', {now}, {epoch}, {seq}, 3,
            {false}, {now}, 'stop', 1, 2, 3, 'provider')
"""


async def test_what_a_database_of_the_version_before_holds_reads_the_same(database: Database, stores: Stores) -> None:
    """A live run with a tail, one that was completed, and one that was interrupted."""
    states = {
        "live": ("streaming", "streaming", 1, 13),
        "done": ("complete", "completed", 1, 9),
        "gone": ("incomplete", "interrupted", 2, EPOCH_SPAN + 9),
    }

    def write(connection: Connection) -> None:
        schema.downgrade(connection, "0005")
        now = "0" if connection.dialect.name == "sqlite" else "now()"
        for name, (message, run, epoch, seq) in states.items():
            values = {"n": name, "message": message, "run": run, "epoch": epoch, "seq": seq}
            for statement in OLD.format(**values, now=now, false="false").split(";"):
                connection.exec_driver_sql(statement)
        connection.execute(text("INSERT INTO answer_tails (run_id, start, text) VALUES ('run_live', 7, ' and')"))
        connection.execute(text("INSERT INTO answer_tails (run_id, start, text) VALUES ('run_live', 11, '!')"))

    await database.alter(write)
    await migrate(database)

    said = {"live": "begin 🙂 and!", "done": "begin 🙂", "gone": "begin 🙂"}
    for name, joined in said.items():
        assert await shown(stores, name, name) == Content.of(joined)
        run = await stores.runs.read_run(ANN, RunId(f"run_{name}"))
        assert (run.status.value, run.seq) == (states[name][1], states[name][3])
        assert (run.outcome is None) is (name == "live")
        if run.outcome and run.outcome.usage:
            assert (run.outcome.usage.total_tokens, run.outcome.usage.cached_tokens) == (3, 0)
        first, *_, last = list(replay(run, after=0))
        assert (first.seq, last.seq) == (START, states[name][3])
    executor = Executor("live", 13, 12)
    grown = Content((Part(PartKind.TEXT, {}, "begin 🙂 and!"), *ANSWER.parts[1:]))
    await executor.save(stores, grown, 20, grown.tip)
    assert await shown(stores, "live", "live") == grown
    assert await stores.execution_store.finish(ending("live", grown))
    assert await shown(stores, "live", "live") == grown


# -- much ------------------------------------------------------------------------------------------------------------


@pytest.mark.soak
async def test_a_long_thought_is_not_written_again_with_each_checkpoint(postgres_url: str) -> None:
    database, connection = open_database(postgres_url), await asyncpg.connect(postgres_url)

    async def written() -> int:
        return int(await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"))

    stores = sql_stores(database)
    long = "".join(f"{number:x} " for number in range(size(2_000, 175_000)))
    thought = Content((Part(PartKind.TEXT), Part(PartKind.REASONING, {}, long + "x" * 800)))
    executor = await begin(stores)
    await executor.save(stores, thought, START + 1 + len(long))
    before = await written()
    await executor.save(stores, thought, *range(executor.tip + 40, thought.tip + 1, 40))

    assert await written() - before < 20 * 3000
    assert await shown(stores) == thought
    await connection.close()
    await database.close()


async def test_a_short_answer_writes_its_parts_once(sqlite_path: Path) -> None:
    database = open_database(f"sqlite:///{sqlite_path}")
    stores = sql_stores(database)
    with statements() as told:
        await begin(stores)
        await stores.execution_store.finish(ending("r", ANSWER))
    assert sum("message_parts" in statement for statement in told) <= len(ANSWER.parts)
    await database.close()
