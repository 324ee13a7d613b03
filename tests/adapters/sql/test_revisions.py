"""Going back to an earlier schema, with something in it."""

import os
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from chatorch.adapters.sql import (
    Database,
    SchemaMismatch,
    downgrade,
    known_revisions,
    migrate,
    open_database,
    open_lock,
    schema,
)
from chatorch.adapters.sql.revisions import DowngradeRefused
from chatorch.domain.model.conversation import RunId
from chatorch.ports.execution_store import Checkpoint
from tests.support.sizes import size
from tests.support.stores import ANN, NOW, new_run, sql_stores, turn

REVISIONS = [step.revision for step in schema.script().walk_revisions()]
HEAD, BEFORE = REVISIONS[:2]


def columns(connection: Connection) -> set[str]:
    inspector = inspect(connection)
    return {
        f"{name}.{column['name']}" for name in inspector.get_table_names() for column in inspector.get_columns(name)
    }


def messages(connection: Connection) -> list[tuple[str, str]]:
    return [tuple(row) for row in connection.execute(text("SELECT id, content FROM messages ORDER BY position"))]


def revision(connection: Connection) -> str:
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()


@pytest.fixture(autouse=True)
def _locked_before(url: str, tmp_path: Path) -> None:
    """With its file made anew, the lock waits for who may have had the one before."""
    if url.startswith("sqlite"):
        (tmp_path / "chat.db.lock").touch()


@pytest.fixture
async def said(database: Database) -> list[tuple[str, str]]:
    """What was said before. There is a run of it, too."""
    await sql_stores(database).runs.open_run(new_run("r"), turn("m", "t", opens=True))
    return await database.read(messages)


async def test_it_is_tried_and_undone_until_it_is_really_wanted(database: Database, url: str, said: object) -> None:
    before = await database.read(columns)

    tried = await downgrade(database, url)
    assert (tried.revision, tried.target) == (HEAD, BEFORE)
    assert (await database.read(revision), await database.read(columns)) == (HEAD, before)

    assert await downgrade(database, url, really=True) == tried
    assert await database.read(revision) == BEFORE
    gone = before - await database.read(columns)
    named = {what.split(" ")[1] for what in tried.lost}
    assert {column for column in gone if column not in named and column.partition(".")[0] not in named} == set()
    assert await database.read(messages) == said


@pytest.mark.parametrize("target", sorted({BEFORE, "0003", "0001"}))
async def test_down_up_and_down_again_from_any_revision_keeps_what_was_said(
    database: Database, url: str, said: object, target: str
) -> None:
    for _ in range(2):
        await downgrade(database, url, target, really=True)
        assert (await database.read(revision), await database.read(messages)) == (target, said)
        await migrate(database)
        await database.start()
        assert await database.read(messages) == said
    assert len(await sql_stores(database).execution_store.live_runs()) == 1


async def test_what_would_go_is_named_with_its_rows(database: Database, url: str, said: object) -> None:
    await database.write(lambda connection: connection.execute(text("INSERT INTO sweeps VALUES ('s')")) and None)
    found = await downgrade(database, url, "0003")
    assert {"table sweeps (1 rows)", "table answer_tails (0 rows)"} <= set(found.lost)
    assert found.notes[-1] == "What live answers have in answer_tails is put into their messages; no text is lost."


PIECES = [f"{number} 😀é\u0301, " for number in range(12)]
LATER = """
    INSERT INTO users (id, username, password_hash, scopes, disabled, created_at, password_changed_at, generation)
    VALUES ('usr_x', 'x', 'hash', 'chat', {false}, {now}, {now}, 3);
    INSERT INTO chatkit_sessions (id, user_id, workflow_id, status, created_at, expires_at, retry_at, upstream_id,
                                  refreshable, replaced_by, sealed_secret, shared, generation)
    VALUES ('cks_x', 'usr_x', 'wf', 'active', {now}, {now}, {now}, 'up_x', {true}, 'cks_y', 'box', {true}, 3);
    INSERT INTO sweeps (id) VALUES ('sweep');
    INSERT INTO thread_notes (thread_id, body) VALUES ('thr_t', '{{}}');
    INSERT INTO ratings (thread_id, item_id, rating, created_at) VALUES ('thr_t', 'msg_m_0', 'up', {now})
"""


def write_what_is_later(connection: Connection) -> None:
    lite = connection.dialect.name == "sqlite"
    for statement in LATER.format(now="0" if lite else "now()", false="false", true="true").split(";"):
        connection.execute(text(statement))


@pytest.mark.parametrize("target", size(["0001", "0004"], sorted(set(REVISIONS) - {HEAD})))
async def test_whatever_later_versions_keep_no_text_and_no_user_is_lost(
    database: Database, url: str, said: object, target: str
) -> None:
    """A live answer whose text lies in tails, of characters of several bytes; a user of the third generation."""
    stores, start = sql_stores(database), 0
    for piece in PIECES:
        await stores.execution_store.checkpoint([Checkpoint(RunId("run_r"), 1, piece, start)])
        start += len(piece)
    await database.write(write_what_is_later)

    await downgrade(database, url, target, really=True)
    contents = dict(await database.read(messages))
    assert (contents["msg_m_0"], contents["msg_r_answer"]) == (
        "hello", "".join(PIECES) if target < "0004" else PIECES[0],
    )  # fmt: skip
    await migrate(database)
    await database.start()

    [live] = await stores.execution_store.live_runs()
    assert (await stores.runs.read_run(ANN, RunId("run_r"))).text == "".join(PIECES)
    assert list(await stores.execution_store.interrupt([live], NOW)) == ["run_r"]
    assert (await stores.runs.read_run(ANN, RunId("run_r"))).text == "".join(PIECES)
    user = await stores.users.by_username("x")
    assert user is not None
    assert user.generation == (0 if target < "0005" else 3)


@pytest.mark.parametrize("shared", [False, True])
async def test_it_is_refused_while_a_server_has_the_store(database: Database, url: str, shared: bool) -> None:
    lock = open_lock(url, shared=shared)
    await lock.acquire()
    try:
        with pytest.raises(DowngradeRefused, match="stop all of them first"):
            await downgrade(database, url, really=True)
    finally:
        await lock.release()
    assert await database.read(revision) == HEAD


async def test_no_server_can_come_in_between(database: Database, url: str, said: object) -> None:
    """It has the lock of who is alone, and gives it back, also where it fails."""
    with pytest.raises(DowngradeRefused):
        await downgrade(database, url, "0000", really=True)
    await downgrade(database, url, really=True)
    lock = open_lock(url)
    await lock.acquire()
    await lock.release()


@pytest.mark.parametrize("target", [HEAD, "9999", "base", "", "-1", "head"])
async def test_only_an_earlier_revision_by_its_name_will_do(database: Database, url: str, target: str) -> None:
    with pytest.raises(DowngradeRefused, match=f"^The database is at revision {HEAD}; before it come .*0001.$"):
        await downgrade(database, url, target, really=True)


async def test_before_the_first_there_is_nothing(database: Database, url: str) -> None:
    await downgrade(database, url, "0001", really=True)
    with pytest.raises(DowngradeRefused, match=r"^There is nothing before revision 0001\.$"):
        await downgrade(database, url, really=True)


async def test_the_standing_is_told(database: Database, url: str) -> None:
    assert (found := await known_revisions(database, url)).revision == found.head == HEAD
    await downgrade(database, url, really=True)
    assert (await known_revisions(database, url)).revision == BEFORE
    if url.startswith("postgresql"):
        with pytest.raises(SchemaMismatch, match=f"at revision {BEFORE} and this chatorch needs {HEAD}: run"):
            await database.start()
    else:
        await database.start()
        assert (await known_revisions(database, url)).revision == HEAD


async def test_a_later_version_s_schema_is_left_alone(database: Database, url: str) -> None:
    await database.write(
        lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")) and None
    )
    for attempt in (known_revisions(database, url), downgrade(database, url, "0001", really=True)):
        with pytest.raises(SchemaMismatch, match=f"chatorch migrate --down --to {HEAD}`"):
            await attempt


async def test_looking_makes_no_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("nothing")
    url = f"sqlite:///{folder}/chat.db"
    database = open_database(url)
    assert (await known_revisions(database, url)).revision is None
    with pytest.raises(DowngradeRefused, match="no tables yet"):
        await downgrade(database, url)
    await database.close()
    assert not any(os.scandir(folder))
