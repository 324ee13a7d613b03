"""Connections that are kept, and the heads that come on them."""

import asyncio
import itertools
import time

import pytest

from chatorch.adapters.chatkit_hosted.provider import OpenAIChatKit
from chatorch.adapters.models.openai.chat_model import OpenAIChatModel
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.upstream_errors import UpstreamInvalid, UpstreamUnavailable
from tests.adapters.models.conftest import LATE_S, NewModel
from tests.support import upstream as play
from tests.support.chat import listen, prompt
from tests.support.chatkit_upstream import Plan, chatkit_upstream
from tests.support.upstream import ANSWER, Script, Upstream

ROUNDS = itertools.count()
"""A pause that was released stays so: each needs a name of its own."""


async def kept(model: OpenAIChatModel, upstream: Upstream, count: int) -> set[int]:
    """Leaves so many connections idle: their numbers."""
    pause = f"kept {next(ROUNDS)}"
    name = upstream.model(play.text("a"), play.pause(pause), *ANSWER[1:])
    listening = [asyncio.ensure_future(listen(model, prompt(name))) for _ in range(count)]
    await upstream.until(name, "paused", count=count)
    upstream.release(pause)
    assert all(heard.finish for heard in await asyncio.gather(*listening))
    numbers = {seen.connection for seen in upstream.seen(name)}
    assert len(numbers) == count
    return numbers


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("count", [1, 4, 25])
async def test_kept_connections_that_are_over_cost_one_new_one_and_no_retry(
    new_model: NewModel, upstream: Upstream, how: str, count: int
) -> None:
    model = new_model(max_retries=0)
    before = await kept(model, upstream, count)
    name = upstream.model(play.stale(how), *ANSWER)
    heard = await listen(model, prompt(name))
    assert heard.finish
    assert heard.seconds < 0.4
    first, second = (seen.connection for seen in upstream.seen(name))
    assert first in before
    assert second not in before


async def test_the_new_connection_is_kept_in_its_turn(new_model: NewModel, upstream: Upstream) -> None:
    model = new_model()
    await kept(model, upstream, 4)
    assert (await listen(model, prompt(upstream.model(play.stale(), *ANSWER)))).finish
    name = upstream.model(*ANSWER)
    for _ in range(5):
        assert (await listen(model, prompt(name))).finish
    assert len({seen.connection for seen in upstream.seen(name)}) == 1


async def test_many_requests_on_dead_connections_at_once_all_succeed(new_model: NewModel, upstream: Upstream) -> None:
    model = new_model()
    await kept(model, upstream, 20)
    name = upstream.model(play.stale(), *ANSWER)
    heard = await asyncio.gather(*(listen(model, prompt(name)) for _ in range(30)))
    assert {one.text for one in heard} == {"Hello, world"}
    assert max(one.seconds for one in heard) < 0.5, "waited for a retry"


async def test_streams_that_are_under_way_are_not_touched(new_model: NewModel, upstream: Upstream) -> None:
    model = new_model()
    await kept(model, upstream, 4)
    name = upstream.model(play.text("a"), play.pause("under way"), play.text("b"), *ANSWER[1:])
    live = [model.stream(prompt(name)) for _ in range(3)]
    assert [await anext(stream) for stream in live] == ["a"] * 3
    assert (await listen(model, prompt(upstream.model(play.stale(), *ANSWER)))).finish
    upstream.release("under way")
    assert [await anext(stream) for stream in live] == ["b"] * 3
    for stream in live:
        assert [item async for item in stream]


async def test_a_retry_of_the_sdk_is_still_there_for_what_follows(new_model: NewModel, upstream: Upstream) -> None:
    model = new_model(max_retries=1)
    await kept(model, upstream, 2)
    name = upstream.model([play.stale()], [play.status(503, {"retry-after-ms": "1"})], ANSWER)
    assert (await listen(model, prompt(name))).finish
    assert len(upstream.seen(name)) == 3


@pytest.mark.parametrize("fault", [play.reset(), play.close(), play.stale("reset")])
async def test_a_new_connection_that_is_reset_is_an_ordinary_failure(
    new_model: NewModel, upstream: Upstream, fault: play.Step
) -> None:
    model = new_model(max_retries=0)
    name = upstream.model([fault], [play.reset()], ANSWER)
    if fault == play.stale("reset"):
        await kept(model, upstream, 2)
    heard = await listen(model, prompt(name))
    assert type(heard.error) is UpstreamUnavailable
    assert len(upstream.seen(name)) == (2 if fault == play.stale("reset") else 1)


async def test_a_kept_connection_that_ends_within_the_head_is_an_ordinary_failure(
    new_model: NewModel, upstream: Upstream
) -> None:
    model = new_model(max_retries=0)
    await kept(model, upstream, 2)
    name = upstream.model([play.bare(b"HTTP/1.1 200 OK\r\ncontent-ty")], ANSWER)
    assert type((await listen(model, prompt(name))).error) is UpstreamUnavailable
    assert len(upstream.seen(name)) == 1


async def test_a_server_that_is_gone_is_unavailable_also_for_who_has_kept_connections(new_model: NewModel) -> None:
    going = Upstream()
    try:
        model = new_model(base_url=going.base_url, max_retries=0)
        await kept(model, going, 3)
    finally:
        going.stop()
    assert type((await listen(model, prompt())).error) is UpstreamUnavailable


async def test_who_stops_listening_while_a_new_connection_is_tried_hangs_up_at_once(
    new_model: NewModel, upstream: Upstream
) -> None:
    model = new_model()
    await kept(model, upstream, 2)
    name = upstream.model([play.stale()], [play.hang()])
    waiting = asyncio.ensure_future(listen(model, prompt(name)))
    await upstream.until(name, "seen", count=2)
    stopped = time.monotonic()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    seen = (await upstream.until(name, "closed"))[-1]
    assert seen.closed_at is not None
    assert seen.closed_at - stopped < LATE_S


async def test_closing_the_model_under_a_request_on_a_kept_connection_is_a_failure_like_another(
    new_model: NewModel, upstream: Upstream
) -> None:
    model = new_model()
    await kept(model, upstream, 1)
    name = upstream.model(play.hang())
    waiting = asyncio.ensure_future(listen(model, prompt(name)))
    await upstream.until(name, "seen")
    await model.aclose()
    assert type((await waiting).error) is UpstreamUnavailable
    assert len(upstream.seen(name)) == 1


async def test_creating_a_hosted_session_has_a_connection_of_its_own_and_is_never_repeated() -> None:
    async with chatkit_upstream() as hosted:
        chatkit = OpenAIChatKit("sk-x", hosted.base_url, max_retries=0)
        for _ in range(2):
            await chatkit.list_threads(UserId("usr_ann"), PageRequest(limit=3))
        assert hosted.connections == 1
        assert await chatkit.create(UserId("usr_ann"), "wf_one")
        await chatkit.list_threads(UserId("usr_ann"), PageRequest(limit=3))
        assert hosted.connections == 2
        hosted.plans = [Plan(after=0, then="reset")]
        with pytest.raises(UpstreamUnavailable):
            await chatkit.create(UserId("usr_ann"), "wf_one")
        assert len(hosted.sessions) == 2
        await chatkit.aclose()


EVENTS = {"content-type": "text/event-stream"}
BODY = 'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    "headers",
    [
        {"x-big": "a" * 64 * 1024},
        {"x-" + "n" * 30_000: "a" * 30_000},
        {f"x-{i}": "a" * 400 for i in range(200)},
        {f"set-cookie-{i}": "a" * 4000 for i in range(64)},
        {"x-three": "a" * 60_000, "x-such": "b" * 60_000, "x-big": "c" * 60_000},
    ],
    ids=["one", "a long name", "many", "cookies", "three"],
)
async def test_a_big_head_is_read(model: OpenAIChatModel, upstream: Upstream, headers: dict[str, str]) -> None:
    name = upstream.model(play.status(200, {**EVENTS, **headers}, BODY))
    assert (await listen(model, prompt(name))).text == "Hi"


@pytest.mark.parametrize(
    "script",
    [
        [play.status(200, {**EVENTS, "x-big": "a" * 2**20}, BODY)],
        [play.status(200, {**EVENTS, **{f"x-{i}": "a" for i in range(5000)}}, BODY)],
        [play.status(400, {"x-big": "a" * 2**20})],
        [play.bare(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab")],
        [play.bare(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")],
        [play.bare(b"HTTP/1.1 abc\r\n\r\n")],
    ],
    ids=["one", "many", "of a refusal", "two lengths", "another protocol", "no status"],
)
async def test_a_head_that_cannot_be_read_is_one_failure(
    new_model: NewModel, upstream: Upstream, script: Script
) -> None:
    name = upstream.model(*script)
    heard = await listen(new_model(max_retries=2), prompt(name))
    assert type(heard.error) is UpstreamInvalid
    assert heard.error.__context__ is None
    assert len(upstream.seen(name)) == 1
