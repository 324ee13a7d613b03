"""What every thread store keeps to."""

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from chatorch.domain.model.conversation import (
    Message,
    MessageId,
    MessageStatus,
    NewMessage,
    Role,
    RunId,
    Thread,
    ThreadId,
)
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import MessageCursor, PageRequest, ThreadCursor
from chatorch.domain.model.run import RunStatus
from chatorch.ports.execution_store import Checkpoint, Ownership
from chatorch.ports.runs import OpenTurn
from chatorch.ports.threads import Question, ThreadChange
from tests.support.stores import ANN, BOB, NOW, Stores, at, ending, new_run, turn

THREAD = ThreadId("thr_t")
NOT_MINE = [
    (BOB, THREAD),
    (ANN, ThreadId("thr_unknown")),
    (ANN, ThreadId("thr_\0")),
    (ANN, ThreadId("thr_\ud800")),
    (ANN, ThreadId("")),
]


async def open_threads(stores: Stores, *updated: datetime) -> None:
    """Threads of Ann's, `thr_0` and so on, last changed then; their runs have ended."""
    for index, moment in enumerate(updated):
        await stores.runs.open_run(new_run(f"r{index}", now=moment), turn(f"m{index}", str(index), opens=True))
        await stores.execution_store.finish(replace(ending(f"r{index}"), finished_at=moment))


async def all_threads(stores: Stores, owner: UserId, *, limit: int, descending: bool) -> list[list[str]]:
    pages, after = [], None
    while True:
        page = await stores.threads.list_threads(owner, PageRequest(limit, after, descending))
        pages.append([thread.id for thread in page.items])
        if page.after is None:
            return pages
        after = ThreadCursor.decode(page.after)


async def all_positions(stores: Stores, *, limit: int, descending: bool) -> list[int]:
    positions: list[int] = []
    after = None
    while True:
        page = await stores.threads.list_messages(ANN, THREAD, PageRequest(limit, after, descending))
        assert len(page.items) <= limit
        positions += [message.position for message in page.items]
        if page.after is None:
            return positions
        after = MessageCursor.decode(page.after)


async def test_an_opened_thread_reads_as_it_was_written(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))

    assert await stores.threads.read_thread(ANN, THREAD) == Thread(THREAD, ANN, "Thread t", {}, NOW, NOW)


@pytest.mark.parametrize(("owner", "thread"), NOT_MINE)
async def test_what_is_not_the_owners_is_not_found_and_not_changed(
    stores: Stores, owner: UserId, thread: ThreadId
) -> None:
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))

    with pytest.raises(NotFound):
        await stores.threads.read_thread(owner, thread)
    with pytest.raises(NotFound):
        await stores.threads.update_thread(owner, thread, ThreadChange(title="taken"), at(1))
    with pytest.raises(NotFound):
        await stores.threads.list_messages(owner, thread, PageRequest())
    with pytest.raises(NotFound):
        await stores.threads.questions(owner, thread, "hello", 9)
    with pytest.raises(NotFound):
        await stores.threads.live_run(owner, thread)
    with pytest.raises(NotFound):
        await stores.threads.delete_thread(owner, thread, at(1))

    assert await stores.threads.read_thread(ANN, THREAD) == Thread(THREAD, ANN, "Thread t", {}, NOW, NOW)
    assert await stores.interactions() == []


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
async def test_threads_list_by_last_change_then_id_in_both_directions(stores: Stores, limit: int) -> None:
    same = at(2)
    await open_threads(stores, at(3), same, same, at(1), same)
    await stores.runs.open_run(new_run("b", owner=BOB), turn("b", "b", opens=True))
    expected = ["thr_3", "thr_1", "thr_2", "thr_4", "thr_0"]

    ascending = await all_threads(stores, ANN, limit=limit, descending=False)
    descending = await all_threads(stores, ANN, limit=limit, descending=True)

    assert [thread for page in ascending for thread in page] == expected
    assert [thread for page in descending for thread in page] == expected[::-1]
    assert all(0 < len(page) <= limit for page in ascending + descending)


async def test_a_full_last_page_announces_no_further_one(stores: Stores) -> None:
    await open_threads(stores, at(1), at(2))

    page = await stores.threads.list_threads(ANN, PageRequest(2))

    assert len(page.items) == 2
    assert not page.has_more


async def test_an_owner_without_threads_has_an_empty_list(stores: Stores) -> None:
    page = await stores.threads.list_threads(BOB, PageRequest())

    assert page.items == ()
    assert not page.has_more


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize(
    "cursor",
    [
        ThreadCursor(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), "thr_0"),
        ThreadCursor(datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12))), "thr_0"),
        ThreadCursor(NOW, "\ud800"),
        ThreadCursor(NOW, ""),
    ],
)
async def test_a_forged_cursor_is_only_a_place_in_the_list(
    stores: Stores, cursor: ThreadCursor, descending: bool
) -> None:
    await open_threads(stores, at(1))

    page = await stores.threads.list_threads(ANN, PageRequest(20, cursor, descending))

    assert len(page.items) in {0, 1}


async def test_a_change_replaces_what_it_names_and_moves_the_time(stores: Stores) -> None:
    await open_threads(stores, at(0))
    thread = ThreadId("thr_0")
    metadata = {"b": [1, 2.5, None, True], "a": {"ключ": "значение 🙂"}, "": ""}

    renamed = await stores.threads.update_thread(ANN, thread, ThreadChange(title="Renamed"), at(100))
    assert renamed == Thread(thread, ANN, "Renamed", {}, NOW, at(100))

    marked = await stores.threads.update_thread(ANN, thread, ThreadChange(metadata=metadata), at(101))
    assert marked == Thread(thread, ANN, "Renamed", metadata, NOW, at(101))
    assert json.dumps(marked.metadata) == json.dumps(metadata), "the order of keys is the client's"

    emptied = await stores.threads.update_thread(ANN, thread, ThreadChange(title="", metadata={}), at(102))
    assert emptied == Thread(thread, ANN, "", {}, NOW, at(102))
    assert await stores.threads.read_thread(ANN, thread) == emptied


async def test_messages_read_as_they_were_written_oldest_first(stores: Stores) -> None:
    said = (
        ("msg_s", NewMessage(Role.SYSTEM, "be brief")),
        ("msg_a", NewMessage(Role.ASSISTANT, "hello 🙂\n\tthere", metadata={"k": [1]})),
        ("msg_u", NewMessage(Role.USER, "' OR 1=1 -- %s :x $1", timestamp="yesterday")),
    )
    await stores.runs.open_run(new_run("r"), OpenTurn(THREAD, "A title", said))
    await stores.execution_store.finish(ending("r", "answer"))

    page = await stores.threads.list_messages(ANN, THREAD, PageRequest())

    assert [message.position for message in page.items] == sorted({message.position for message in page.items})
    first, second, third, answer = page.items
    assert first == Message("msg_s", THREAD, first.position, Role.SYSTEM, "be brief", MessageStatus.COMPLETE, NOW)
    assert (second.role, second.content, second.metadata) == (Role.ASSISTANT, "hello 🙂\n\tthere", {"k": [1]})
    assert (third.id, third.role, third.content) == ("msg_u", Role.USER, "' OR 1=1 -- %s :x $1")
    assert answer == Message(
        "msg_r_answer", THREAD, answer.position, Role.ASSISTANT, "answer", MessageStatus.COMPLETE, NOW, RunId("run_r")
    )


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_messages_page_by_position_in_both_directions(stores: Stores, limit: int) -> None:
    await stores.runs.open_run(new_run("r"), turn("m", "t", "a", "b", "c", "d", "e", opens=True))

    ascending = await all_positions(stores, limit=limit, descending=False)

    assert ascending == sorted(set(ascending))
    assert len(ascending) == 6
    assert await all_positions(stores, limit=limit, descending=True) == ascending[::-1]


async def test_a_page_keeps_its_place_while_messages_are_added(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r0"), turn("m0", "t", "a", "b", opens=True))
    await stores.execution_store.finish(ending("r0"))
    first = await stores.threads.list_messages(ANN, THREAD, PageRequest(2))
    await stores.runs.open_run(new_run("r1"), turn("m1", "t", "c"))

    rest = await stores.threads.list_messages(ANN, THREAD, PageRequest(10, MessageCursor.decode(first.after)))

    assert [message.id for message in first.items] == ["msg_m0_0", "msg_m0_1"]
    assert [message.id for message in rest.items] == ["msg_r0_answer", "msg_m1_0", "msg_r1_answer"]


async def test_superseded_messages_are_not_shown(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r0"), turn("m0", "t", opens=True))
    await stores.execution_store.finish(ending("r0"))
    await stores.runs.reopen_run(new_run("r1"), RunId("run_r0"))

    page = await stores.threads.list_messages(ANN, THREAD, PageRequest())

    assert [message.id for message in page.items] == ["msg_m0_0", "msg_r1_answer"]


async def test_the_live_run_of_a_thread_is_told_while_it_lives(stores: Stores) -> None:
    opened = await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))
    assert await stores.threads.live_run(ANN, THREAD) == opened.run

    await stores.execution_store.checkpoint([Checkpoint(RunId("run_r"), 1, "so far")])
    streaming = await stores.threads.live_run(ANN, THREAD)
    assert streaming is not None
    assert (streaming.status, streaming.text) == (RunStatus.STREAMING, "so far")

    await stores.execution_store.finish(ending("r"))
    assert await stores.threads.live_run(ANN, THREAD) is None


async def test_a_deleted_thread_is_gone_with_its_messages_and_runs_but_not_its_interactions(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r0"), turn("m0", "t", opens=True))
    await stores.execution_store.finish(ending("r0"))
    await stores.runs.open_run(new_run("other"), turn("other", "other", opens=True))
    before = await stores.interactions()

    await stores.threads.delete_thread(ANN, THREAD, at(100))

    with pytest.raises(NotFound):
        await stores.threads.read_thread(ANN, THREAD)
    with pytest.raises(NotFound):
        await stores.runs.read_run(ANN, RunId("run_r0"))
    with pytest.raises(NotFound):
        await stores.runs.reopen_run(new_run("again"), RunId("run_r0"))
    with pytest.raises(NotFound):
        await stores.threads.delete_thread(ANN, THREAD, at(101))
    assert await stores.interactions() == before
    assert len(before) == 1
    assert (await stores.runs.read_run(ANN, RunId("run_other"))).status is RunStatus.QUEUED


async def test_deleting_a_thread_records_its_live_run_as_cancelled_and_its_executor_finds_it_lost(
    stores: Stores,
) -> None:
    await stores.runs.open_run(new_run("r", guest_label="kiosk"), turn("m", "t", opens=True))
    await stores.execution_store.checkpoint([Checkpoint(RunId("run_r"), 1, "so far")])

    await stores.threads.delete_thread(ANN, THREAD, at(5))

    ownerships = await stores.execution_store.checkpoint([Checkpoint(RunId("run_r"), 1, "so far and on")])
    assert ownerships == {RunId("run_r"): Ownership.LOST}
    assert not await stores.execution_store.finish(ending("r"))
    (interaction,) = await stores.interactions()
    assert (interaction.run_id, interaction.thread_id, interaction.user_id) == ("run_r", THREAD, ANN)
    assert (interaction.status, interaction.model) == (RunStatus.CANCELLED, "a-model")
    assert (interaction.first_piece_ms, interaction.duration_ms, interaction.usage) == (None, None, None)
    assert (interaction.guest_label, interaction.created_at) == ("kiosk", NOW)
    assert list(await stores.execution_store.live_runs()) == []


async def test_the_users_messages_of_one_text_are_found_newest_first_and_no_others(stores: Stores) -> None:
    opening = turn("m", "t", "Hello", "hello", "Hello ", opens=True)
    (first, said), *rest = opening.messages
    named = (first, replace(said, metadata={"a": {"id": "é"}}))
    answer = (MessageId("msg_s"), NewMessage(Role.SYSTEM, "Hello"))
    await stores.runs.open_run(new_run("r"), replace(opening, messages=(answer, named, *rest)))
    await stores.execution_store.finish(ending("r", "Hello"))
    for number in (1, 2):
        await stores.runs.open_run(new_run(f"r{number}"), turn(f"n{number}", "t", "Hello"))
        await stores.execution_store.finish(ending(f"r{number}"))

    async def found(limit: int = 9) -> list[Question]:
        return list(await stores.threads.questions(ANN, THREAD, "Hello", limit))

    newest = [Question(MessageId(f"msg_n{number}_0"), {}) for number in (2, 1)]
    assert await found() == [*newest, Question(first, {"a": {"id": "é"}})]
    assert await found(2) == newest
    assert await stores.threads.questions(ANN, THREAD, "Nothing", 9) == ()
    await stores.runs.answer_again(new_run("again"), THREAD, MessageId("msg_n1_0"))
    assert await found() == [newest[1], Question(first, {"a": {"id": "é"}})]
