"""What every store keeps to where a message of the user's is said anew."""

from dataclasses import replace

import pytest

from chatorch.domain.model.conversation import MessageId, ThreadId
from chatorch.domain.model.errors import NewerMessages, NotFound, RunSuperseded, ThreadBusy
from chatorch.domain.model.paging import PageRequest
from chatorch.ports.runs import IdempotencyKey
from tests.support.stores import ANN, BOB, Stores, ending, new_run, turn

THREAD = ThreadId("thr_t")


async def said(stores: Stores) -> list[tuple[str, str]]:
    found = await stores.threads.list_messages(ANN, THREAD, PageRequest(100, descending=False))
    return [(message.id, message.content) for message in found.items]


async def two_turns(stores: Stores) -> None:
    await stores.runs.open_run(new_run("a"), turn("q1", "t", "one", opens=True))
    await stores.execution_store.finish(ending("a", "first"))
    await stores.runs.open_run(new_run("b"), turn("q2", "t", "two"))
    await stores.execution_store.finish(ending("b", "second"))


@pytest.mark.parametrize(("message", "left"), [("msg_q1_0", []), ("msg_q2_0", ["one", "first"])])
async def test_it_and_what_came_after_leave_the_history(stores: Stores, message: str, left: list[str]) -> None:
    await two_turns(stores)
    edited = replace(turn("q3", "t", "three"), instead_of=MessageId(message))
    opened = await stores.runs.open_run(new_run("c"), edited)
    assert [m.content for m in opened.history] == [*left, "three"]
    await stores.execution_store.finish(ending("c", "third"))
    assert [text for _, text in await said(stores)] == [*left, "three", "third"]
    with pytest.raises(RunSuperseded):
        await stores.runs.open_run(new_run("d"), replace(edited, messages=turn("q4", "t").messages))


async def test_only_a_message_of_the_users_own_in_this_thread(stores: Stores) -> None:
    await two_turns(stores)
    await stores.runs.open_run(new_run("o"), turn("q9", "other", opens=True))
    before = await said(stores)
    for wrong in ("msg_a_answer", "msg_q9_0", "msg_nobodys", "msg_\0"):
        with pytest.raises(NotFound):
            await stores.runs.open_run(new_run("c"), replace(turn("q3", "t"), instead_of=MessageId(wrong)))
    with pytest.raises(NotFound):
        await stores.runs.open_run(new_run("c", owner=BOB), replace(turn("q3", "t"), instead_of=MessageId("msg_q1_0")))
    assert await said(stores) == before


async def test_a_live_run_keeps_its_question_and_a_repeated_key_its_run(stores: Stores) -> None:
    key = IdempotencyKey("k", "same")
    await stores.runs.open_run(new_run("a"), turn("q1", "t", "one", opens=True))
    edited = replace(turn("q2", "t", "two"), instead_of=MessageId("msg_q1_0"))
    with pytest.raises(ThreadBusy):
        await stores.runs.open_run(new_run("b", key=key), edited)
    assert [text for _, text in await said(stores)] == ["one", ""]
    await stores.execution_store.finish(ending("a", "first"))
    first = await stores.runs.open_run(new_run("b", key=key), edited)
    again = await stores.runs.open_run(new_run("c", key=key), edited)
    assert (again.joined, again.run.id) == (True, first.run.id)


async def test_only_the_newest_is_answered_again_where_no_other_may_be_lost(stores: Stores) -> None:
    await two_turns(stores)
    await stores.runs.answer_again(new_run("c"), THREAD, MessageId("msg_q2_0"), only_newest=True)
    assert [text for _, text in await said(stores)] == ["one", "first", "two", ""]
    with pytest.raises(ThreadBusy):
        await stores.runs.answer_again(new_run("d"), THREAD, MessageId("msg_q2_0"), only_newest=True)
    with pytest.raises(NewerMessages):  # whatever is live: nobody is to be stopped for it
        await stores.runs.answer_again(new_run("d"), THREAD, MessageId("msg_q1_0"), only_newest=True)
    await stores.execution_store.finish(ending("c", "third"))
    with pytest.raises(NewerMessages):
        await stores.runs.answer_again(new_run("d"), THREAD, MessageId("msg_q1_0"), only_newest=True)
    assert [text for _, text in await said(stores)] == ["one", "first", "two", "third"]


async def test_what_left_the_history_is_no_newer_message_and_a_repeated_key_is_none_either(stores: Stores) -> None:
    await two_turns(stores)
    await stores.runs.answer_again(new_run("c"), THREAD, MessageId("msg_q1_0"))
    await stores.execution_store.finish(ending("c", "third"))
    key = IdempotencyKey("k", "same")
    first = await stores.runs.answer_again(new_run("d", key=key), THREAD, MessageId("msg_q1_0"), only_newest=True)
    await stores.execution_store.finish(ending("d", "fourth"))
    await stores.runs.open_run(new_run("e"), turn("q3", "t", "three"))
    again = await stores.runs.answer_again(new_run("f", key=key), THREAD, MessageId("msg_q1_0"), only_newest=True)
    assert (again.joined, again.run.id) == (True, first.run.id)
