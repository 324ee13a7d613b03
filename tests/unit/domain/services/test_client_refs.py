"""A thread by its client's own id: the one of that name, or a new one."""

import asyncio

import pytest

from chatorch.domain.model.conversation import ThreadId
from chatorch.domain.model.errors import IdempotencyKeyReused, InvalidField, NotFound, ThreadBusy
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.presence import ClientId, Device, RunBegan
from chatorch.domain.services import RetryChat
from tests.support.app import ALICE, BOB, Chat
from tests.support.fakes import Pause, ScriptedChatModel
from tests.support.mailbox import KeptMailbox


async def test_the_same_name_is_the_same_thread_and_another_owners_is_another():
    chat = Chat()
    first = await chat.ended(await chat.start(client_ref="c1"))
    again = await chat.ended(await chat.start(client_ref="c1"))
    other = await chat.start(client_ref="c2")
    theirs = await chat.start(who=BOB, client_ref="c1")
    assert first.thread_id == again.thread_id
    assert len({first.thread_id, other.thread_id, theirs.thread_id}) == 3
    assert (await chat.conversations.named(ALICE, "c1")).id == first.thread_id
    assert (await chat.conversations.named(BOB, "c1")).id == theirs.thread_id
    assert await chat.conversations.named(BOB, "c2") is None


async def test_a_thread_of_ours_is_named_by_our_id_which_no_client_takes_for_its_own():
    chat = Chat()
    first = await chat.ended(await chat.start())
    assert (await chat.conversations.named(ALICE, first.thread_id)).id == first.thread_id
    with pytest.raises(NotFound):
        await chat.conversations.named(BOB, first.thread_id)
    with pytest.raises(InvalidField):
        await chat.start(client_ref="thr_mine")


async def test_no_other_device_is_told_of_a_thread_that_is_not_to_be_kept():
    chat, mailbox = Chat(), KeptMailbox()
    chat.connections.attach(Device(ALICE.user_id, ClientId("phone")), mailbox)
    await chat.start(stored=False)
    kept = await chat.start()
    assert [event.run_id for event in mailbox.events if isinstance(event, RunBegan)] == [kept.id]


async def test_two_who_open_one_name_at_once_meet_in_one_thread():
    chat = Chat(model=ScriptedChatModel("a", Pause(), "b"))
    runs = await asyncio.gather(*(chat.start(f"Hi {n}", client_ref="c1") for n in range(4)), return_exceptions=True)
    [begun] = [run for run in runs if not isinstance(run, BaseException)]
    assert sorted(type(run).__name__ for run in runs) == ["Run", "ThreadBusy", "ThreadBusy", "ThreadBusy"]
    assert {run.run_id for run in runs if isinstance(run, ThreadBusy)} == {begun.id}


async def test_a_name_that_was_new_a_moment_ago_is_found_all_the_same():
    chat = Chat()
    first = await chat.ended(await chat.start(client_ref="c1", ref_is_new=True))
    again = await chat.start(client_ref="c1", ref_is_new=True)
    assert again.thread_id == first.thread_id


async def test_a_repeated_key_joins_its_run_whether_or_not_the_thread_was_new():
    chat = Chat()
    first = await chat.start(client_ref="c1", idempotency_key="k")
    assert (await chat.start(client_ref="c1", idempotency_key="k")).id == first.id
    with pytest.raises(IdempotencyKeyReused):
        await chat.start(client_ref="c2", idempotency_key="k")
    with pytest.raises(IdempotencyKeyReused):
        await chat.start(client_ref="c1", idempotency_key="k", generation=Generation(temperature=1))


async def test_a_thread_id_counts_and_not_a_name_beside_it():
    chat = Chat()
    first = await chat.ended(await chat.start())
    again = await chat.start(thread_id=ThreadId(first.thread_id), client_ref="c1")
    assert again.thread_id == first.thread_id


async def test_a_retry_is_generated_as_the_run_was():
    chat = Chat()
    first = await chat.ended(await chat.start(generation=Generation(temperature=0.3, max_output_tokens=9)))
    again = await chat.runs.retry(ALICE, RetryChat(first.id))
    assert again.generation == first.generation == Generation(temperature=0.3, max_output_tokens=9)
    assert [call.prompt.generation for call in chat.model.calls] == [first.generation] * 2
