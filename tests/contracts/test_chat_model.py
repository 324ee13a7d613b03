"""What every chat model keeps to: the port's contract."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chatorch.adapters.models.joined_turns import JoinedTurns
from chatorch.adapters.models.offline import OfflineChatModel
from chatorch.adapters.models.openai.chat_model import OpenAIChatModel
from chatorch.adapters.models.router import ModelRouter
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.upstream_errors import UpstreamError
from chatorch.ports.chat_model import ChatModel, Finish, PartEnd, PartStart
from tests.support import upstream as play
from tests.support.chat import listen, prompt
from tests.support.fakes import FakeClock, ScriptedChatModel
from tests.support.toy_provider import ToyChatModel, ToyProvider, toy_provider
from tests.support.upstream import Upstream

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


@pytest.fixture(params=["openai", "scripted"])
async def thinker(request: pytest.FixtureRequest, upstream: Upstream) -> AsyncIterator[tuple[ChatModel, str, str]]:
    """Models that answer with parts: one by the first name, and one that breaks off within a part by the other."""
    model: ChatModel
    thought = [PartStart(PartKind.REASONING), "Hm\ufffd", PartEnd()]
    if request.param == "scripted":
        call = [PartStart(PartKind.TOOL_CALL, {"id": "c1", "name": "weather"}), "{}", PartEnd()]
        source = [PartStart(PartKind.SOURCE, {"url": "https://example.com/"}), PartEnd()]
        model = ScriptedChatModel()
        model.then(*thought, PartStart(PartKind.TEXT), "Hello", PartEnd(), *call, *source)
        model.then(*thought[:2], UpstreamError())
        yield model, MODEL, MODEL
    else:
        model = OpenAIChatModel("key", upstream.base_url, max_retries=0)
        hm = play.chunk(play.delta(reasoning_content="Hm\0"))
        calls = [{"index": n, "id": f"c{n}", "function": {"name": "weather", "arguments": "{"}} for n in (1, 2)]
        cited = {"type": "url_citation", "url_citation": {"url": "https://example.com/"}}
        rest = [play.chunk(play.delta(tool_calls=calls)), play.chunk(play.delta(annotations=[cited]))]
        whole = upstream.model(hm, play.text("Hello"), *rest, play.finish("tool_calls"), play.done())
        yield model, whole, upstream.model(hm, play.error())
    await model.aclose()


async def test_parts_come_one_at_a_time_and_are_closed_at_the_finish(thinker: tuple[ChatModel, str, str]) -> None:
    model, name, _ = thinker
    heard = await listen(model, prompt(name))
    assert heard.finish
    first, thought, *others = heard.content.parts
    assert (first.body, thought.body, heard.text) == ("", "Hm\ufffd", "Hello")
    assert {PartKind.TEXT, PartKind.TOOL_CALL, PartKind.SOURCE} == {part.kind for part in others}
    assert all(part.closed for part in (thought, *others))


async def test_what_fails_within_a_part_leaves_it_open(thinker: tuple[ChatModel, str, str]) -> None:
    model, name, failing = thinker
    await listen(model, prompt(name))
    heard = await listen(model, prompt(failing))
    assert heard.error is not None
    assert heard.content.parts[-1].body == "Hm\ufffd"
    assert not heard.content.parts[-1].closed
