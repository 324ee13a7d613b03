"""Reading what is being written, and making way for it."""

import asyncio

import pytest

from chatorch.domain.model.conversation import MessageStatus
from chatorch.domain.model.errors import NotFound, ThreadBusy
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.run import RunStatus
from tests.support.app import ALICE, BOB, Chat, following
from tests.support.fakes import Pause, ScriptedChatModel, settle


async def test_a_run_that_ends_while_its_thread_is_read_shows_its_whole_text():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hello", pause, " you"))
    run = await chat.start()
    await pause.reached()
    read = chat.store.threads.list_messages

    async def read_and_end(*asked):
        page = await read(*asked)
        pause.go_on()
        await chat.heard(run)
        return page

    chat.store.threads.list_messages = read_and_end
    page = await chat.conversations.messages(ALICE, run.thread_id, PageRequest())

    assert [(message.content, message.status) for message in page.items] == [
        ("Hi", MessageStatus.COMPLETE),
        ("Hello you", MessageStatus.COMPLETE),
    ]


async def test_a_run_that_nobody_follows_makes_way_and_one_that_is_followed_does_not():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hello", pause))
    run = await chat.start()
    await pause.reached()
    async with following(chat, run):
        refused = asyncio.ensure_future(chat.conversations.make_way(ALICE, run.thread_id))
        while not refused.done():
            await settle()
            await chat.clock.advance(0.5)
        with pytest.raises(ThreadBusy):
            await refused
        assert (await chat.runs.read(ALICE, run.id)).status is RunStatus.STREAMING
    await settle()
    made = asyncio.ensure_future(chat.conversations.make_way(ALICE, run.thread_id))
    while not made.done():
        await settle()
        await chat.clock.advance(0.05)
    await made
    ended = await chat.runs.read(ALICE, run.id)
    assert (ended.status, ended.outcome.cancel_reason, ended.text) == (RunStatus.CANCELLED, "detached", "Hello")


async def test_where_there_is_no_run_there_is_way_and_anothers_thread_is_not_found():
    chat = Chat()
    run = await chat.start()
    await chat.heard(run)
    await chat.conversations.make_way(ALICE, run.thread_id)
    with pytest.raises(NotFound):
        await chat.conversations.make_way(BOB, run.thread_id)
