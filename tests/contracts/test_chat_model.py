"""What every chat model keeps to: the port's contract."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chatorch.adapters.models.joined_turns import JoinedTurns
from chatorch.adapters.models.offline import OfflineChatModel
from chatorch.adapters.models.openai.chat_model import OpenAIChatModel
from chatorch.adapters.models.router import ModelRouter
from chatorch.ports.chat_model import ChatModel, Finish
from tests.support.chat import listen, prompt
from tests.support.fakes import FakeClock, ScriptedChatModel
from tests.support.toy_provider import ToyChatModel, ToyProvider, toy_provider

MODEL = "mock-5-1"


@pytest.fixture
async def toy() -> AsyncIterator[ToyProvider]:
    async with toy_provider() as toy:
        yield toy


@pytest.fixture(params=["openai", "offline", "scripted", "routed", "joined", "toy"])
async def model(request: pytest.FixtureRequest, toy: ToyProvider) -> AsyncIterator[ChatModel]:
    model: ChatModel
    match request.param:
        case "openai":
            model = OpenAIChatModel("key", request.getfixturevalue("upstream").base_url)
        case "offline":
            model = OfflineChatModel(FakeClock(), piece_delay=0)
        case "joined":
            model = JoinedTurns(ScriptedChatModel("Hello"))
        case "toy":
            model = ToyChatModel(toy.address)
        case "routed":
            model = ModelRouter({"main": ScriptedChatModel("Hello", "world"), "other": ScriptedChatModel()})
        case _:
            model = ScriptedChatModel("Hello", ", ", "world")
    yield model
    await model.aclose()


async def test_text_comes_in_pieces_that_are_not_empty_then_one_finish_last(model: ChatModel) -> None:
    heard = await listen(model, prompt(MODEL))
    assert heard.pieces
    assert all(heard.pieces)
    assert heard.finish.reason == "stop"


async def test_text_can_be_stored(model: ChatModel) -> None:
    heard = await listen(
        model, prompt(MODEL, "a\0b \ud800 c") if isinstance(model, OfflineChatModel) else prompt(MODEL)
    )
    assert "\0" not in heard.text
    heard.text.encode()


async def test_streams_at_the_same_time_do_not_mix(model: ChatModel) -> None:
    alone = await listen(model, prompt(MODEL))
    together = await asyncio.gather(*(listen(model, prompt(MODEL)) for _ in range(10)))
    assert {heard.text for heard in together} == {alone.text}
    assert all(heard.finish == alone.finish for heard in together)


async def test_a_stream_closed_midway_says_nothing_more_and_the_model_goes_on(model: ChatModel) -> None:
    stream = model.stream(prompt(MODEL))
    assert isinstance(await anext(stream), str)
    await stream.aclose()
    assert [item async for item in stream] == []
    assert (await listen(model, prompt(MODEL))).finish


async def test_nothing_happens_before_the_first_item_is_asked_for(model: ChatModel) -> None:
    stream = model.stream(prompt(MODEL))
    await stream.aclose()
    assert [item async for item in stream] == []


async def test_usage_adds_up_where_it_was_counted(model: ChatModel) -> None:
    finish = (await listen(model, prompt(MODEL))).finish
    assert isinstance(finish, Finish)
    if finish.usage is not None:
        assert finish.usage.total_tokens == finish.usage.prompt_tokens + finish.usage.completion_tokens
