"""What keys cost whom: nothing, however many an owner has, and while they are forgotten."""

import asyncio
import statistics
import time

import pytest
from sqlalchemy import Connection, func, select, text

from chatorch.adapters.sql import Database, idempotency
from chatorch.adapters.sql.tables import idempotency_keys
from chatorch.domain.model.identity import UserId
from chatorch.ports.runs import IdempotencyKey
from tests.support.sizes import size
from tests.support.stores import ANN, BOB, Stores, at, ending, new_run, sql_stores, turn

KEYS = size(2_000, 200_000)
ROUNDS = size(15, 60)
SLACK_S = 0.002
"""Of a median on a machine that does other things as well."""
DAY = 86_400

SEED = text("""
    INSERT INTO idempotency_keys (owner_id, key, fingerprint, thread_id, run_id, created_at)
    WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :count)
    SELECT k.owner_id, 'many ' || i, k.fingerprint, k.thread_id, k.run_id, k.created_at
    FROM numbers, idempotency_keys k WHERE k.owner_id = :owner AND k.key = 'first'
""")


@pytest.fixture
def stores(database: Database) -> Stores:
    return sql_stores(database)


async def ask(stores: Stores, name: str, owner: UserId, seconds: float = 0, key: str | None = None) -> float:
    """How long it took to open a run with a key, in a thread of its own."""
    new = new_run(name, owner=owner, now=at(seconds), key=IdempotencyKey(key or name, "digest"))
    began = time.perf_counter()
    await stores.runs.open_run(new, turn(name, name, opens=True))
    took = time.perf_counter() - began
    await stores.execution_store.finish(ending(name))
    return took


async def seed(database: Database, stores: Stores, owner: UserId, count: int) -> None:
    """So many keys that were used at the beginning."""
    await ask(stores, f"first {owner}", owner, key="first")
    await database.alter(lambda connection: connection.execute(SEED, {"count": count - 1, "owner": owner}) and None)


def kept(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(idempotency_keys)).scalar_one()


@pytest.mark.soak
async def test_a_request_costs_an_owner_of_very_many_keys_what_it_costs_one_of_ten(
    database: Database, stores: Stores, record_property
) -> None:
    await seed(database, stores, ANN, KEYS)
    await seed(database, stores, BOB, 10)
    took: dict[UserId, list[float]] = {ANN: [], BOB: []}
    for number in range(ROUNDS):
        for owner in (ANN, BOB):
            took[owner].append(await ask(stores, f"{owner} {number}", owner, DAY + 60))
    many, ten = (statistics.median(took[owner]) for owner in (ANN, BOB))
    record_property("ms", (round(many * 1000, 2), round(ten * 1000, 2)))
    assert many < 1.5 * ten + SLACK_S


@pytest.mark.soak
async def test_forgetting_very_many_keeps_no_writer_waiting(
    database: Database, stores: Stores, record_property
) -> None:
    await seed(database, stores, ANN, KEYS)
    took: list[float] = []
    over = False

    async def write() -> None:
        while not over:
            took.append(await ask(stores, f"b{len(took)}", BOB, DAY + 60))

    writer = asyncio.ensure_future(write())
    began, forgotten = time.perf_counter(), 0
    while forgotten < KEYS:
        sweeps = await asyncio.gather(*(stores.runs.forget_keys(at(DAY), 500) for _ in range(2)))
        assert sum(sweeps) > 0
        forgotten += sum(sweeps)
    over = True
    await writer
    record_property("seconds", round(time.perf_counter() - began, 2))
    record_property("writer_worst_ms", round(max(took) * 1000, 1))
    assert forgotten == KEYS
    assert await database.read(kept) == len(took)
    assert statistics.quantiles(took, n=100)[98] < 0.5
    assert max(took) < 3, "and the machine may have other work"


async def test_keys_are_found_one_by_one_and_by_age_by_an_index(database: Database) -> None:
    def plans(connection: Connection) -> list[str]:
        lite = connection.dialect.name == "sqlite"
        if not lite:  # an empty table is read whole, if it may
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        values = {"of_owner": "x", "this_key": "x", "used_before": 0 if lite else at(0), "most": 5}
        found = []
        for statement in (idempotency._FIND, idempotency._FORGET, idempotency._ANY, idempotency._OLDEST):
            compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
            given = {**compiled.params, **{name: values[name] for name in compiled.params if name in values}}
            rows = connection.exec_driver_sql(
                f"EXPLAIN {'QUERY PLAN ' if lite else ''}{compiled}",
                tuple(given[name] for name in compiled.positiontup) if compiled.positiontup else given,
            )
            found.append(" ".join(str(row[-1]) for row in rows))
        return found

    for plan in await database.write(plans):
        assert "index" in plan.lower(), plan
        assert "Seq Scan" not in plan, plan
        assert "SCAN" not in plan, plan
