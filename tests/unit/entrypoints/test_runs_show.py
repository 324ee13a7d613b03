"""`chatorch runs show`, against a real SQLite file."""

import asyncio
from pathlib import Path

import pytest

from chatorch.adapters.sql import open_database
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import Usage, UsageSource
from chatorch.domain.model.parts import Part, PartKind
from tests.support.api import sqlite_copy
from tests.support.stores import ending, new_run, sql_stores, turn
from tests.unit.entrypoints.test_cli import _own_folder_and_settings as _own_folder_and_settings  # noqa: PLC0414  # used by pytest
from tests.unit.entrypoints.test_cli import chatorch, refusal

TEXT = "canary4711"


async def filled(url: str) -> None:
    database = open_database(url)
    stores = sql_stores(database)
    await stores.runs.open_run(new_run("a"), turn("a", "a", TEXT, opens=True))
    await stores.execution_store.finish(ending("a", TEXT))
    thought = Part(PartKind.REASONING, body=TEXT * 2, closed=True)
    content = Content((Part(PartKind.TEXT, body=TEXT), thought, thought))
    await stores.runs.open_run(new_run("b"), turn("b", "b", TEXT, opens=True))
    await stores.execution_store.finish(ending("b", content, usage=Usage(9, 8, 17, UsageSource.PROVIDER, 4, 5)))
    await database.close()


def test_a_runs_life_is_printed_without_its_text(
    monkeypatch: pytest.MonkeyPatch, migrated_sqlite: Path, tmp_path: Path
) -> None:
    url = sqlite_copy(migrated_sqlite, tmp_path)
    monkeypatch.setenv("DATABASE_URL", url)
    asyncio.run(filled(url))
    result = chatorch("runs", "show", "run_a")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert {"run: run_a", "status: completed", "answer: msg_a_answer (10 characters)", "epoch: 1"} <= set(lines)
    assert "  status: completed" in lines
    assert TEXT not in result.output
    assert refusal("runs", "show", "run_c") == "chatorch: There is no run of this id."


def test_what_stands_beside_the_text_is_printed_as_sizes(
    monkeypatch: pytest.MonkeyPatch, migrated_sqlite: Path, tmp_path: Path
) -> None:
    url = sqlite_copy(migrated_sqlite, tmp_path)
    monkeypatch.setenv("DATABASE_URL", url)
    asyncio.run(filled(url))
    printed = chatorch("runs", "show", "run_b").stdout
    assert "\nparts of kind text: 1 (10 characters)\nparts of kind reasoning: 2 (40 characters)\n" in printed
    assert "(provider; 4 of the prompt cached; 5 of the completion reasoning)" in printed
    assert TEXT not in printed


def test_nothing_is_made_where_there_is_no_database(tmp_path: Path) -> None:
    assert "chatorch migrate" in refusal("runs", "show", "run_a")
    assert not list(tmp_path.glob("*.db*"))
