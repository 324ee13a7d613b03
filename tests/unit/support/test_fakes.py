"""The fakes do what tests rely on."""

import asyncio
from contextlib import aclosing
from datetime import timedelta

import pytest

from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import Role
from chatorch.domain.model.upstream_errors import UpstreamTimeout
from chatorch.ports.chat_model import Finish, Prompt
from tests.support.fakes import PROVIDER_USAGE, START, FakeClock, Pause, ScriptedChatModel, settle

PROMPT = Prompt("a-model", (PromptMessage(Role.USER, "Hi"),), "usr_1")


async def test_the_fake_clock_wakes_each_sleeper_at_its_own_moment():
    clock, heard = FakeClock(), []

    async def every(seconds: float) -> None:
        while True:
            await clock.sleep(seconds)
            heard.append((clock.monotonic(), seconds))

    tasks = [asyncio.create_task(every(seconds)) for seconds in (2, 3)]
    await clock.advance(6.5)

    assert heard == [(2, 2), (3, 3), (4, 2), (6, 3), (6, 2)]
    assert clock.monotonic() == 6.5
    assert clock.now() == START + timedelta(seconds=6.5)
    assert clock.sleepers == 2
    for task in tasks:
        task.cancel()


async def test_time_stands_until_it_is_moved():
    clock = FakeClock()
    sleeper = asyncio.create_task(clock.sleep(1))
    await clock.until_asleep()
    await clock.advance(0.999)
    assert not sleeper.done()
    await clock.advance(0.001)
    assert sleeper.done()


async def test_a_sleeper_that_was_cancelled_is_forgotten():
    clock = FakeClock()
    sleeper = asyncio.create_task(clock.sleep(1))
    await clock.until_asleep()
    sleeper.cancel()
    await settle()
    assert clock.sleepers == 0
    await clock.advance(2)


async def test_a_script_is_played_and_ends_well_by_itself():
    model = ScriptedChatModel("Hel", "lo")
    assert [piece async for piece in model.stream(PROMPT)] == ["Hel", "lo", Finish("stop", PROVIDER_USAGE)]
    (call,) = model.calls
    assert call.prompt == PROMPT
    assert call.finished
    assert call.closed


async def test_a_script_for_one_call_comes_before_the_usual_one():
    model = ScriptedChatModel("usual")
    model.then("once", Finish("length", None), "never")
    assert [piece async for piece in model.stream(PROMPT)] == ["once", Finish("length", None)]
    assert [piece async for piece in model.stream(PROMPT)] == ["usual", Finish("stop", PROVIDER_USAGE)]


async def test_a_scripted_error_is_raised_where_it_stands():
    stream = ScriptedChatModel("Hel", UpstreamTimeout()).stream(PROMPT)
    assert await anext(stream) == "Hel"
    with pytest.raises(UpstreamTimeout):
        await anext(stream)


async def test_a_pause_holds_the_stream_and_leaving_it_there_closes_it():
    pause = Pause()
    model = ScriptedChatModel("Hel", pause, "lo")

    async def read() -> None:
        async with aclosing(model.stream(PROMPT)) as stream:
            async for _ in stream:
                continue

    reader = asyncio.create_task(read())
    call = await model.called()
    await pause.reached()
    assert not call.closed
    reader.cancel()
    await call.until_closed()
    assert not call.finished


async def test_a_stream_goes_on_after_its_pause():
    pause = Pause()
    stream = ScriptedChatModel(pause, "Hello").stream(PROMPT)
    waiting = asyncio.ensure_future(anext(stream))
    await pause.reached()
    pause.go_on()
    assert await waiting == "Hello"
    await stream.aclose()
