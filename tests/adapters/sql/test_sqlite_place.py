"""A file that is moved, removed or replaced under a server: nothing more is acknowledged, until it is put back."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chatorch.adapters.sql import open_database
from chatorch.domain.model.errors import NotWritable
from chatorch.ports.execution_store import Checkpoint
from tests.support.stores import ANN, ending, new_run, sql_stores, turn

RUN = ending("a").run_id
AWAY = "chat.db.away"


def _move(path: Path) -> None:
    path.rename(path.with_name(AWAY))


def _replace(path: Path) -> None:
    """As who restores a backup."""
    shutil.copy(path, path.with_name("backup"))
    _move(path)
    path.with_name("backup").rename(path)


def _remove_the_log(path: Path) -> None:
    log = path.with_name("chat.db-wal")
    log.rename(path.with_name(AWAY))


WAYS: dict[str, Callable[[Path], None]] = {"moved": _move, "replaced": _replace, "without its log": _remove_the_log}


@pytest.mark.parametrize("way", WAYS)
async def test_what_would_be_lost_is_not_acknowledged_and_health_says_so_until_the_file_is_back(
    sqlite_path: Path, way: str
) -> None:
    database = open_database(f"sqlite:///{sqlite_path}")
    stores = sql_stores(database)
    await stores.runs.open_run(new_run("a"), turn("a", "a", opens=True))
    await stores.execution_store.witness()

    WAYS[way](sqlite_path)

    beat = [Checkpoint(RUN, 1, "text")]
    for _ in range(2):
        for attempt in (stores.execution_store.checkpoint(beat), stores.execution_store.witness(), database.ping()):
            with pytest.raises(NotWritable, match="moved") as refused:
                await attempt
            assert refused.value.kind == "file_moved"

    lost = sqlite_path.with_name("chat.db-wal") if way == "without its log" else sqlite_path
    sqlite_path.with_name(AWAY).rename(lost)
    await database.ping()
    await stores.execution_store.checkpoint(beat)
    await database.close()
    again = open_database(f"sqlite:///{sqlite_path}")
    assert (await sql_stores(again).runs.read_run(ANN, RUN)).text == "text"
    await again.close()
