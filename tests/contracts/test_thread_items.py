"""What every store of thread items and notes keeps to."""

import random

import pytest

from chatorch.domain.model.annotations import NotedMessage, SideItem, ThreadItem, item_id
from chatorch.domain.model.conversation import (
    Message,
    MessageId,
    MessageStatus,
    NewMessage,
    Role,
    SideItemId,
    ThreadId,
)
from chatorch.domain.model.errors import NotFound, RunSuperseded, ThreadBusy
from chatorch.domain.model.identity import UserId
from chatorch.ports.runs import OpenTurn
from tests.support.stores import ANN, BOB, NOW, Stores, at, ending, new_run, turn

THREAD = ThreadId("thr_t")
BODY = {"kind": "widget", "null": None, "number": 1.5, "deep": [{"ü": "\n"}], "z": 0, "a": 1}
NOT_MINE = [(BOB, THREAD), (ANN, ThreadId("thr_unknown")), (ANN, ThreadId("thr_\0")), (ANN, ThreadId("thr_\ud800"))]


def side(name: str, body: dict | None = None, seconds: float = 0) -> SideItem:
    return SideItem(SideItemId(f"itm_{name}"), THREAD, body or {"name": name}, at(seconds))


def message(name: str, content: str = "said", role: Role = Role.USER, note: dict | None = None) -> NotedMessage:
    said = Message(MessageId(f"msg_{name}"), THREAD, 0, role, content, MessageStatus.COMPLETE, at(1))
    return NotedMessage(said, note)


async def opened(stores: Stores) -> None:
    """A thread with a question and an answer."""
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))
    await stores.execution_store.finish(ending("r"))


async def shown(stores: Stores, *, descending: bool = False) -> list[str]:
    page = await stores.thread_items.list_items(ANN, THREAD, limit=100, descending=descending)
    assert not page.has_more
    return [item_id(item) for item in page.items]


async def test_messages_of_runs_are_items_with_what_was_noted_with_them(stores: Stores):
    noted = NewMessage(Role.USER, "hello", note=BODY)
    await stores.runs.open_run(new_run("r"), OpenTurn(THREAD, "A title", ((MessageId("msg_0"), noted),)))

    page = await stores.thread_items.list_items(ANN, THREAD, limit=10)

    question, answer = page.items
    assert isinstance(question, NotedMessage)
    assert isinstance(answer, NotedMessage)
    assert (question.message.content, question.note) == ("hello", BODY)
    assert list(question.note) == list(BODY)
    assert (answer.message.status, answer.message.run_id, answer.note) == (MessageStatus.STREAMING, "run_r", None)
    assert await stores.thread_items.read_item(ANN, THREAD, "msg_0") == question


async def test_side_items_lie_behind_the_message_that_was_last_and_read_back_equal(stores: Stores):
    await opened(stores)
    first, second = side("1", BODY), side("2", seconds=5)
    await stores.thread_items.put_item(ANN, THREAD, first)
    await stores.thread_items.put_item(ANN, THREAD, second)
    await stores.thread_items.put_item(ANN, THREAD, message("later"))

    assert await shown(stores) == ["msg_m_0", "msg_r_answer", "itm_1", "itm_2", "msg_later"]
    assert await shown(stores, descending=True) == ["msg_later", "itm_2", "itm_1", "msg_r_answer", "msg_m_0"]
    assert await stores.thread_items.read_item(ANN, THREAD, "itm_1") == first
    assert (await stores.threads.read_thread(ANN, THREAD)).updated_at == at(60)


async def test_an_item_may_open_its_thread(stores: Stores):
    await stores.thread_items.put_item(ANN, THREAD, side("1"), title="A widget first")
    await stores.thread_items.put_item(ANN, THREAD, message("1"))

    thread = await stores.threads.read_thread(ANN, THREAD)
    assert (thread.title, thread.created_at, thread.updated_at) == ("A widget first", NOW, at(1))
    assert await shown(stores) == ["itm_1", "msg_1"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("descending", [False, True])
async def test_pages_go_on_behind_any_item_and_miss_none(stores: Stores, limit: int, descending: bool):
    await stores.thread_items.put_item(ANN, THREAD, side("0"), title="A thread")
    chance = random.Random(7)
    for number in range(1, 13):
        item: ThreadItem = side(str(number)) if chance.random() < 0.6 else message(str(number))
        await stores.thread_items.put_item(ANN, THREAD, item)
    everything = await shown(stores, descending=descending)

    seen, after, more = [], None, True
    while more:
        page = await stores.thread_items.list_items(ANN, THREAD, limit=limit, after=after, descending=descending)
        assert 1 <= len(page.items) <= limit
        seen += [item_id(item) for item in page.items]
        after, more = seen[-1], page.has_more

    assert len(everything) == 13
    assert seen == everything


async def test_an_item_that_is_put_again_stays_in_its_place(stores: Stores):
    await opened(stores)
    await stores.thread_items.put_item(ANN, THREAD, side("1"))
    await stores.thread_items.put_item(ANN, THREAD, message("1", note={"a": 1}))
    await stores.thread_items.put_item(ANN, THREAD, side("1", {"changed": True}))
    await stores.thread_items.put_item(ANN, THREAD, message("1", "changed", note={"b": 2}))

    assert await shown(stores) == ["msg_m_0", "msg_r_answer", "itm_1", "msg_1"]
    kept = await stores.thread_items.read_item(ANN, THREAD, "itm_1")
    said = await stores.thread_items.read_item(ANN, THREAD, "msg_1")
    assert isinstance(kept, SideItem)
    assert isinstance(said, NotedMessage)
    assert kept.body == {"changed": True}
    assert (said.message.content, said.note) == ("changed", {"b": 2})


async def test_what_a_run_wrote_is_never_written_over(stores: Stores):
    await opened(stores)
    await stores.thread_items.put_item(ANN, THREAD, message("r_answer", "forged", Role.ASSISTANT, {"a": 1}))

    answer = await stores.thread_items.read_item(ANN, THREAD, "msg_r_answer")
    assert isinstance(answer, NotedMessage)
    assert (answer.message.content, answer.note) == ("an answer", None)


async def test_a_live_run_keeps_new_messages_out_and_its_own_in(stores: Stores):
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))
    with pytest.raises(ThreadBusy):
        await stores.thread_items.put_item(ANN, THREAD, message("1"))
    await stores.thread_items.remove_item(ANN, THREAD, "msg_r_answer")
    await stores.thread_items.put_item(ANN, THREAD, side("1"))

    assert await shown(stores) == ["msg_m_0", "msg_r_answer", "itm_1"]


async def test_what_is_removed_is_gone_and_twice_is_nothing(stores: Stores):
    await opened(stores)
    await stores.thread_items.put_item(ANN, THREAD, side("1"))
    await stores.thread_items.put_item(ANN, THREAD, message("1"))
    for _ in range(2):
        for gone in ("itm_1", "msg_1", "msg_r_answer", "itm_unknown"):
            await stores.thread_items.remove_item(ANN, THREAD, gone)

    assert await shown(stores) == ["msg_m_0"]
    with pytest.raises(NotFound):
        await stores.thread_items.read_item(ANN, THREAD, "itm_1")
    again = await stores.runs.open_run(new_run("2"), turn("2", "t"))
    assert [said.id for said in again.history] == ["msg_m_0", "msg_2_0"]


async def test_answering_again_takes_what_came_after_out(stores: Stores):
    await opened(stores)
    await stores.thread_items.put_item(ANN, THREAD, side("1"))
    await stores.thread_items.put_item(ANN, THREAD, message("unanswered"))
    await stores.thread_items.put_item(ANN, THREAD, side("2"))

    fresh = await stores.runs.answer_again(new_run("2"), THREAD, MessageId("msg_unanswered"))
    assert fresh.run.user_message_id == "msg_unanswered"
    assert [said.id for said in fresh.history] == ["msg_m_0", "msg_r_answer", "msg_unanswered"]
    assert await shown(stores) == ["msg_m_0", "msg_r_answer", "itm_1", "msg_unanswered", "msg_2_answer"]

    await stores.execution_store.finish(ending("2"))
    earlier = await stores.runs.answer_again(new_run("3"), THREAD, MessageId("msg_m_0"))
    assert [said.id for said in earlier.history] == ["msg_m_0"]
    assert await shown(stores) == ["msg_m_0", "msg_3_answer"]
    await stores.execution_store.finish(ending("3"))
    with pytest.raises(RunSuperseded):
        await stores.runs.answer_again(new_run("4"), THREAD, MessageId("msg_unanswered"))
    page = await stores.thread_items.list_items(ANN, THREAD, limit=5, after="msg_unanswered")
    assert [item_id(item) for item in page.items] == ["msg_3_answer"], "a client may still hold its id"


async def test_only_a_message_of_the_user_in_this_thread_is_answered(stores: Stores):
    await opened(stores)
    await stores.runs.open_run(new_run("o"), turn("o", "other", opens=True))
    await stores.execution_store.finish(ending("o"))
    for owner, thread, asked in [
        (ANN, THREAD, "msg_r_answer"),
        (ANN, THREAD, "msg_o_0"),
        (ANN, THREAD, "msg_unknown"),
        (ANN, THREAD, "msg_\0"),
        *((owner, thread, "msg_m_0") for owner, thread in NOT_MINE),
    ]:
        with pytest.raises(NotFound):
            await stores.runs.answer_again(new_run("x", owner=owner), thread, MessageId(asked))
    await stores.runs.open_run(new_run("live"), turn("l", "t"))
    with pytest.raises(ThreadBusy):
        await stores.runs.answer_again(new_run("x"), THREAD, MessageId("msg_m_0"))


@pytest.mark.parametrize(("owner", "thread"), NOT_MINE)
async def test_what_is_not_mine_is_not_found(stores: Stores, owner: UserId, thread: ThreadId):
    await opened(stores)
    await stores.thread_items.put_item(ANN, THREAD, side("1"))
    for asked in (
        stores.thread_items.list_items(owner, thread, limit=1),
        stores.thread_items.read_item(owner, thread, "itm_1"),
        stores.thread_items.put_item(owner, thread, side("2")),
        stores.thread_items.put_item(owner, thread, message("2")),
        stores.thread_items.remove_item(owner, thread, "itm_1"),
        stores.thread_notes.put_note(owner, thread, {}),
        stores.thread_notes.rate(owner, thread, ["itm_1"], "positive", NOW),
    ):
        with pytest.raises(NotFound):
            await asked
    assert await stores.thread_notes.read_notes(owner, [thread]) == {}


async def test_an_id_of_another_thread_is_not_found_and_nothing_of_it_is_changed(stores: Stores):
    await opened(stores)
    await stores.thread_items.put_item(ANN, THREAD, side("1"))
    await stores.thread_items.put_item(ANN, THREAD, message("1"))
    bobs = ThreadId("thr_bob")
    await stores.runs.open_run(new_run("b", owner=BOB), turn("b", "bob", opens=True))
    await stores.execution_store.finish(ending("b"))
    for item in (side("1", {"forged": True}), message("1", "forged"), message("r_answer", "forged")):
        with pytest.raises(NotFound):
            await stores.thread_items.put_item(BOB, bobs, item)
        with pytest.raises(NotFound):
            await stores.thread_items.read_item(BOB, bobs, item_id(item))
        with pytest.raises(NotFound):
            await stores.thread_items.list_items(BOB, bobs, limit=1, after=item_id(item))
        await stores.thread_items.remove_item(BOB, bobs, item_id(item))

    assert await shown(stores) == ["msg_m_0", "msg_r_answer", "itm_1", "msg_1"]
    assert await stores.thread_items.read_item(ANN, THREAD, "itm_1") == side("1")


async def test_a_note_of_a_thread_is_kept_and_put_again(stores: Stores):
    await opened(stores)
    await stores.thread_notes.put_note(ANN, THREAD, {"first": True})
    await stores.thread_notes.put_note(ANN, THREAD, BODY)

    assert await stores.thread_notes.read_notes(ANN, [THREAD, ThreadId("thr_unknown")]) == {THREAD: BODY}
    assert await stores.thread_notes.read_notes(ANN, []) == {}


async def test_what_is_rated_must_be_there(stores: Stores):
    await opened(stores)
    await stores.thread_items.put_item(ANN, THREAD, side("1"))
    await stores.thread_notes.rate(ANN, THREAD, ["msg_r_answer", "itm_1"], "positive", NOW)
    await stores.thread_notes.rate(ANN, THREAD, ["itm_1"], "negative", at(1))
    await stores.thread_notes.rate(ANN, THREAD, [], "negative", at(1))
    for wrong in ("itm_2", "itm_\0", ""):
        with pytest.raises(NotFound):
            await stores.thread_notes.rate(ANN, THREAD, ["itm_1", wrong], "positive", NOW)


async def test_a_thread_takes_all_of_it_along(stores: Stores):
    await opened(stores)
    await stores.thread_items.put_item(ANN, THREAD, side("1"))
    await stores.thread_items.put_item(ANN, THREAD, message("1", note=BODY))
    await stores.thread_notes.put_note(ANN, THREAD, BODY)
    await stores.thread_notes.rate(ANN, THREAD, ["itm_1"], "positive", NOW)
    await stores.threads.delete_thread(ANN, THREAD, NOW)

    await stores.thread_items.put_item(ANN, THREAD, side("1"), title="The same ids again")
    await stores.thread_items.put_item(ANN, THREAD, message("1"))
    assert await stores.thread_notes.read_notes(ANN, [THREAD]) == {}
    again = await stores.thread_items.read_item(ANN, THREAD, "msg_1")
    assert isinstance(again, NotedMessage)
    assert again.note is None
