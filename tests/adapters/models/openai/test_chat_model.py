"""Streaming from a provider that behaves, in all the ways that providers have."""

import asyncio
import sys
import time

import pytest

from chatorch.adapters.models.openai.chat_model import OpenAIChatModel
from chatorch.adapters.models.upstream.deadlines import Deadlines
from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import Role, Usage, UsageSource
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.upstream_errors import UpstreamUnavailable
from chatorch.ports.chat_model import Prompt
from tests.adapters.models.conftest import LATE_S, NewModel
from tests.support import upstream as play
from tests.support.chat import listen, prompt
from tests.support.upstream import ANSWER, Script, Upstream


async def test_an_answer_comes_whole_with_its_finish_and_usage(model: OpenAIChatModel, upstream: Upstream) -> None:
    heard = await listen(model, prompt(upstream.model(*ANSWER)))
    assert heard.text == "Hello, world"
    assert heard.finish.reason == "stop"
    assert heard.finish.usage == Usage(9, 3, 12, UsageSource.PROVIDER)


async def test_each_piece_is_there_before_the_next_is_sent(model: OpenAIChatModel, upstream: Upstream) -> None:
    name = upstream.model(play.text("first"), play.pause("second piece"), play.text("second"), *ANSWER[1:])
    stream = model.stream(prompt(name))
    async with asyncio.timeout(5):
        assert await anext(stream) == "first"
        upstream.release("second piece")
        assert await anext(stream) == "second"
        assert [item async for item in stream]


async def test_what_was_asked_is_gone_while_the_answer_comes(model: OpenAIChatModel, upstream: Upstream) -> None:
    name = upstream.model(play.text("first"), play.pause("the rest"), *ANSWER[1:])
    text = "A long history"
    nowhere = sys.getrefcount(text)
    stream = model.stream(Prompt(name, (PromptMessage(Role.USER, text),), UserId("usr_ada")))
    assert sys.getrefcount(text) > nowhere
    async with asyncio.timeout(5):
        assert await anext(stream) == "first"
        assert sys.getrefcount(text) == nowhere
        upstream.release("the rest")
        assert [item async for item in stream]


async def test_what_arrived_together_comes_as_one_piece(model: OpenAIChatModel, upstream: Upstream) -> None:
    body = b"".join(b'data: {"choices": [{"index": 0, "delta": {"content": "%d"}}]}\n\n' % i for i in range(10))
    name = upstream.model(play.raw(body), *ANSWER[1:])
    assert (await listen(model, prompt(name))).pieces == ["0123456789"]


@pytest.mark.parametrize(
    "script",
    [
        [play.unframed(), *ANSWER],
        [play.grains(1), *ANSWER],
        [play.grains(7), play.text("Hello, wörld 😀"), play.finish(), play.usage(), play.done()],
        [play.text("Hello, world"), play.finish()],
        [play.text("Hello, world"), play.finish(), play.close()],
        [play.text("Hello, world"), play.finish(), play.reset()],
        [play.text("Hello, world"), play.done()],
        [play.text("Hello, world"), play.finish(), play.done(), play.reset()],
        [play.head("text/event-stream; charset=utf-8"), *ANSWER],
        [play.head("text/plain"), *ANSWER],
        [play.head("image/png"), *ANSWER],
        [play.head("text/event-stream, text/event-stream"), *ANSWER],
        [play.json_answer("Hello, world")],
        [play.json_answer("Hello, world", reason=None)],
    ],
)
async def test_an_answer_counts_as_complete(model: OpenAIChatModel, upstream: Upstream, script: Script) -> None:
    heard = await listen(model, prompt(upstream.model(*script)))
    assert heard.finish.reason == "stop"
    assert heard.text.replace("ö", "o").startswith("Hello, world")


async def test_connections_are_used_again(model: OpenAIChatModel, upstream: Upstream) -> None:
    name = upstream.model(*ANSWER)
    for _ in range(20):
        await listen(model, prompt(name))
    assert len({seen.connection for seen in upstream.seen(name)}) == 1


async def test_after_done_the_end_of_the_response_is_awaited_for_a_moment_only(
    model: OpenAIChatModel, upstream: Upstream
) -> None:
    name = upstream.model(*ANSWER, play.hang())
    heard = await listen(model, prompt(name))
    assert heard.finish
    assert heard.seconds < 0.5
    await upstream.until(name, "closed")


@pytest.mark.parametrize("how", ["cancel", "aclose"])
@pytest.mark.parametrize("where", ["before the first byte", "midway"])
async def test_who_stops_listening_hangs_up_at_once(
    model: OpenAIChatModel, upstream: Upstream, how: str, where: str
) -> None:
    start = [play.text("a")] if where == "midway" else []
    name = upstream.model(*start, play.hang())
    stream = model.stream(prompt(name))
    if start:
        assert await anext(stream) == "a"
    waiting = asyncio.ensure_future(anext(stream))
    await upstream.until(name, "seen")
    stopped = time.monotonic()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if how == "aclose":
        await stream.aclose()
    [seen] = await upstream.until(name, "closed")
    assert seen.closed_at is not None
    assert seen.closed_at - stopped < LATE_S


async def test_a_cancel_is_never_taken_for_the_end_of_the_answer(model: OpenAIChatModel, upstream: Upstream) -> None:
    name = upstream.model(play.text("a"), play.finish(), play.pause("cancelled after the finish"))
    stream = model.stream(prompt(name))
    assert await anext(stream) == "a"
    waiting = asyncio.ensure_future(anext(stream))
    await upstream.until(name, "paused")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await upstream.until(name, "closed")


async def test_a_stream_closed_between_two_pieces_hangs_up_at_once(model: OpenAIChatModel, upstream: Upstream) -> None:
    name = upstream.model(play.tokens(1000, every=0.01))
    stream = model.stream(prompt(name))
    await anext(stream)
    stopped = time.monotonic()
    await stream.aclose()
    [seen] = await upstream.until(name, "closed")
    assert seen.closed_at is not None
    assert seen.closed_at - stopped < LATE_S


async def test_many_streams_are_open_at_once(model: OpenAIChatModel, upstream: Upstream) -> None:
    name = upstream.model(play.text("a"), play.pause("many"), *ANSWER[1:])
    listening = [asyncio.ensure_future(listen(model, prompt(name))) for _ in range(150)]
    await upstream.until(name, "paused", count=150)
    upstream.release("many")
    assert all(heard.finish for heard in await asyncio.gather(*listening))


async def test_closing_the_model_ends_live_streams_and_starts_no_more(new_model: NewModel, upstream: Upstream) -> None:
    model = new_model()
    name = upstream.model(play.text("a"), play.hang())
    stream = model.stream(prompt(name))
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await model.aclose()
    with pytest.raises(UpstreamUnavailable):
        await waiting
    await upstream.until(name, "closed")
    assert isinstance((await listen(model, prompt(name))).error, UpstreamUnavailable)


async def test_the_time_a_consumer_takes_is_not_idle_time(new_model: NewModel, upstream: Upstream) -> None:
    model = new_model(deadlines=Deadlines(first_piece=0.1, idle=0.1, total=60))
    name = upstream.model(play.text("a"), play.pause("slow consumer"), play.text("b"), *ANSWER[1:])
    stream = model.stream(prompt(name))
    assert await anext(stream) == "a"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await asyncio.Event().wait()
    upstream.release("slow consumer")
    assert await anext(stream) == "b"
    await stream.aclose()
