"""What every store keeps to of threads in which nothing is said yet."""

from dataclasses import replace

import pytest

from chatorch.domain.model.conversation import Message, MessageId, MessageStatus, Role, Thread, ThreadId
from chatorch.domain.model.errors import NotFound, ThreadBusy
from chatorch.domain.model.paging import PageRequest
from tests.support.stores import ANN, BOB, Stores, at, new_run, turn

EMPTY = Thread(ThreadId("thr_t"), ANN, "Ideas", {"a": ["b", None]}, at(1), at(1))


def said(name: str, role: Role = Role.USER, seconds: float = 1) -> Message:
    return Message(MessageId(f"msg_{name}"), EMPTY.id, 0, role, name, MessageStatus.COMPLETE, at(seconds))


async def texts(stores: Stores) -> list[tuple[int, str]]:
    found = await stores.threads.list_messages(ANN, EMPTY.id, PageRequest(30))
    return [(message.position, message.content) for message in found.items]


async def test_a_thread_may_begin_with_messages_and_is_not_begun_twice(stores: Stores) -> None:
    await stores.threads.add_thread(EMPTY, [said("one"), said("two", Role.ASSISTANT)])
    await stores.threads.add_thread(replace(EMPTY, title="Another"), [said("three")])
    assert (await stores.threads.read_thread(ANN, EMPTY.id)).title == "Ideas"
    assert await texts(stores) == [(1, "one"), (2, "two")]


async def test_messages_are_added_all_or_none_and_once(stores: Stores) -> None:
    await stores.threads.add_thread(EMPTY)
    await stores.threads.add_messages(ANN, EMPTY.id, [said("one"), said("two", seconds=5)])
    assert (await stores.threads.read_thread(ANN, EMPTY.id)).updated_at == at(5)
    await stores.threads.add_messages(ANN, EMPTY.id, [said("one"), said("three")])
    assert await texts(stores) == [(1, "one"), (2, "two")]
    await stores.thread_items.remove_item(ANN, EMPTY.id, "msg_one")
    await stores.threads.add_messages(ANN, EMPTY.id, [said("one"), said("two")])
    assert await texts(stores) == [(2, "two")]
    for owner, thread in ((BOB, EMPTY.id), (ANN, ThreadId("thr_none"))):
        with pytest.raises(NotFound):
            await stores.threads.add_messages(owner, thread, [said("four")])


async def test_no_message_is_added_while_a_run_is_live(stores: Stores) -> None:
    await stores.threads.add_thread(EMPTY)
    await stores.runs.open_run(new_run("r"), turn("m", "t"))
    before = await texts(stores)
    with pytest.raises(ThreadBusy):
        await stores.threads.add_messages(ANN, EMPTY.id, [said("one"), said("two")])
    assert await texts(stores) == before


async def test_a_thread_without_messages_is_as_any_other(stores: Stores) -> None:
    await stores.threads.add_thread(EMPTY)
    assert await stores.threads.read_thread(ANN, EMPTY.id) == EMPTY
    assert (await stores.threads.list_threads(ANN, PageRequest(10))).items == (EMPTY,)
    assert (await stores.threads.list_messages(ANN, EMPTY.id, PageRequest(10))).items == ()
    with pytest.raises(NotFound):
        await stores.threads.read_thread(BOB, EMPTY.id)
    opened = await stores.runs.open_run(new_run("r"), turn("m", "t"))
    assert [message.id for message in opened.history] == ["msg_m_0"]
    messages = await stores.threads.list_messages(ANN, EMPTY.id, PageRequest(10))
    assert [message.run_id for message in messages.items] == [None, "run_r"]


async def test_one_that_nothing_was_ever_said_in_is_deleted(stores: Stores) -> None:
    await stores.threads.add_thread(EMPTY)
    await stores.threads.delete_thread(ANN, EMPTY.id, at(2))
    with pytest.raises(NotFound):
        await stores.threads.read_thread(ANN, EMPTY.id)
