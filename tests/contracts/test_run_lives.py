"""What every store tells an operator of a run."""

import pytest

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import ThreadId
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import RunStatus
from chatorch.ports.execution_store import Checkpoint
from tests.support.stores import ANN, NOW, Stores, ending, new_run, turn


async def test_a_live_run_shows_sizes_and_heartbeats_but_no_text(stores: Stores) -> None:
    opened = await stores.runs.open_run(new_run("a"), turn("a", "a", "four", opens=True))
    await stores.execution_store.checkpoint([Checkpoint(opened.run.id, 1, "an answer")])
    life = await stores.run_lives.read("run_a")
    assert life.row is not None
    assert (life.row.question_chars, life.row.answer_chars, life.row.run.text) == (4, 9, "")
    assert (life.row.run.owner_id, life.row.run.status, life.row.heartbeat) == (ANN, RunStatus.STREAMING, 1)
    assert life.interaction is None


async def test_an_ended_run_has_its_record_and_a_deleted_one_nothing_else(stores: Stores) -> None:
    await stores.runs.open_run(new_run("a"), turn("a", "a", opens=True))
    await stores.execution_store.finish(ending("a"))
    life = await stores.run_lives.read("run_a")
    assert life.row is not None
    assert life.row.run.status is RunStatus.COMPLETED
    assert life.interaction is not None
    await stores.threads.delete_thread(ANN, ThreadId("thr_a"), NOW)
    gone = await stores.run_lives.read("run_a")
    assert (gone.row, gone.interaction) == (None, life.interaction)


async def test_parts_show_their_sizes_alone(stores: Stores) -> None:
    await stores.runs.open_run(new_run("a"), turn("a", "a", opens=True))
    thoughts = (Part(PartKind.REASONING, body=body, closed=True) for body in ("hm", "aha"))
    content = Content(
        (Part(PartKind.TEXT), *thoughts, Part(PartKind.SOURCE, {"url": "https://example.com"}, closed=True))
    )
    await stores.execution_store.finish(ending("a", content))
    row = (await stores.run_lives.read("run_a")).row
    assert row is not None
    assert (row.answer_chars, row.run.content) == (0, Content())
    assert row.part_chars == {PartKind.REASONING: (2, 3), PartKind.SOURCE: (0,)}


@pytest.mark.parametrize("run_id", ["run_x", "", "nul\0", "\ud800"])
async def test_an_unknown_run_is_not_found(stores: Stores, run_id: str) -> None:
    with pytest.raises(NotFound):
        await stores.run_lives.read(run_id)
