"""What an answer is replaced by in the middle of a stream: the whole thread, read when it is needed and not before."""

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

from chatorch.domain.model.content import Content, PartDelta, Snapshot
from chatorch.domain.model.conversation import NewMessage, Role
from chatorch.domain.model.run import SILENCE, Run, RunEvent, RunInterrupted, Silence, started_event
from chatorch.domain.services import Runs, StartChat
from chatorch.entrypoints.ag_ui.following import Following
from chatorch.entrypoints.ag_ui.run_encoder import Names, RunEncoder
from chatorch.entrypoints.common.event_encoder import EventFrames
from tests.support.ag_ui import Client
from tests.support.app import ALICE, Chat


class ToldAsStored:
    """`Runs` of which one follower has heard more than was stored, as after a worker's death."""

    def events(self, run: Run, after: int = 0) -> AsyncGenerator[RunEvent | Silence]:
        return self._events(run)

    async def _events(self, run: Run) -> AsyncGenerator[RunEvent | Silence]:
        yield started_event(run)
        yield PartDelta(9, "More than")
        stored = Content.of("More")
        yield Snapshot(2**32 + stored.tip, stored)
        yield RunInterrupted(2**33)


async def ended_run(chat: Chat) -> Run:
    run = await chat.runs.start(ALICE, StartChat((NewMessage(Role.USER, "Hi"),)))
    return (await chat.runs.answer(run)).run


def following(chat: Chat, run: Run) -> tuple[RunEncoder, AsyncGenerator[RunEvent | Silence]]:
    encoder = RunEncoder(run, Names("t", "r"), EventFrames())
    runs = cast("Runs", ToldAsStored())
    return encoder, Following(runs, chat.conversations, chat.clock, ALICE, encoder).events(run, connects=False)


async def test_it_is_replaced_within_the_thread_as_it_is_stored():
    chat = Chat()
    run = await ended_run(chat)
    encoder, events = following(chat, run)
    page = Client([{"id": run.user_message_id, "role": "user", "content": "Hi"}])
    async for event in events:
        assert not isinstance(event, Silence)
        page.take(encoder.encode(event))
    assert [message["content"] for message in page.messages] == ["Hi", "More"]
    assert page.ended is not None
    assert page.ended["code"] == "run_interrupted"


async def test_while_the_store_is_away_it_waits_and_shows_that_it_lives():
    chat = Chat()
    run = await ended_run(chat)
    _, events = following(chat, run)
    assert [type(await anext(events)).__name__ for _ in range(2)] == ["RunStarted", "PartDelta"]
    chat.store.available = False
    assert await anext(events) is SILENCE
    waiting = asyncio.ensure_future(anext(events))
    await chat.clock.until_asleep()
    chat.store.available = True
    await chat.clock.advance(1)
    assert isinstance(await waiting, Snapshot)
    await events.aclose()
