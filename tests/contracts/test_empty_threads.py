"""What every store keeps to of threads in which nothing is said yet."""

import pytest

from chatorch.domain.model.conversation import Thread, ThreadId
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.paging import PageRequest
from tests.support.stores import ANN, BOB, Stores, at, new_run, turn

EMPTY = Thread(ThreadId("thr_t"), ANN, "Ideas", {"a": ["b", None]}, at(1), at(1))


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
