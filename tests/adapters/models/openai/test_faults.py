"""Providers that fail: every row of the faults table that the adapter answers for."""

import asyncio
import random

import httpx2
import pytest

from chatorch.adapters.models.openai.chat_model import OpenAIChatModel
from chatorch.adapters.models.upstream.deadlines import Deadlines
from chatorch.domain.model.upstream_errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamInvalid,
    UpstreamModelUnknown,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from tests.adapters.models.conftest import LATE_S, NewModel
from tests.support import upstream as play
from tests.support.chat import Heard, listen, prompt
from tests.support.fakes import settle
from tests.support.ports import free_port
from tests.support.sizes import size
from tests.support.upstream import ANSWER, EMPTY, Script, Upstream

SOON = {"retry-after-ms": "1"}


async def many(model: OpenAIChatModel, name: str, times: int) -> list[Heard]:
    return await asyncio.gather(*(listen(model, prompt(name)) for _ in range(times)))


@pytest.mark.parametrize(
    ("status", "kind"), [(429, UpstreamRateLimited), (503, UpstreamUnavailable), (500, UpstreamError)]
)
async def test_a_refusal_before_the_first_byte_is_tried_again_twice_and_no_more(
    new_model: NewModel, upstream: Upstream, status: int, kind: type[UpstreamError]
) -> None:
    requests = size(20, 100)
    name = upstream.model(play.status(status, SOON))
    heard = await many(new_model(max_retries=2), name, requests)
    assert {type(one.error) for one in heard} == {kind}
    assert len(upstream.seen(name)) == requests * 3


async def test_a_refusal_that_passes_is_not_noticed(new_model: NewModel, upstream: Upstream) -> None:
    name = upstream.model([play.status(503, SOON)], ANSWER)
    assert (await listen(new_model(max_retries=2), prompt(name))).text == "Hello, world"


@pytest.mark.parametrize(("status", "kind"), [(429, UpstreamRateLimited), (503, UpstreamUnavailable)])
async def test_the_wait_that_the_provider_asks_for_is_passed_on(
    model: OpenAIChatModel, upstream: Upstream, status: int, kind: type[UpstreamError]
) -> None:
    heard = await listen(model, prompt(upstream.model(play.status(status, {"retry-after": "17"}))))
    assert type(heard.error) is kind
    assert heard.error.retry_after == 17


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (play.reset(), UpstreamUnavailable),
        (play.close(), UpstreamUnavailable),
        (play.end(), UpstreamInvalid),
        (play.raw(b"data: {bro\n\n"), UpstreamInvalid),
        (play.raw(b'data: {"choices": [{"delta"\n\n'), UpstreamInvalid),
        (play.raw(b"data: " + b"x" * 2**20 + b"\n\n"), UpstreamInvalid),
        (play.error(), UpstreamError),
        (play.error(kind="rate_limit_exceeded"), UpstreamRateLimited),
    ],
)
async def test_a_fault_midway_is_one_error_and_keeps_every_piece(
    new_model: NewModel, upstream: Upstream, fault: play.Step, kind: type[UpstreamError]
) -> None:
    name = upstream.model(play.tokens(20), fault)
    heard = await many(new_model(max_retries=2), name, times := size(30, 500))
    assert {type(one.error) for one in heard} == {kind}
    assert {one.text for one in heard} == {"".join(f" tok{i}" for i in range(20))}
    assert not any(one.finishes for one in heard)
    assert len(upstream.seen(name)) == times, "tried again after the first byte"


async def test_a_reset_that_is_there_before_the_first_read_loses_nothing(
    model: OpenAIChatModel, upstream: Upstream
) -> None:
    name = upstream.model(play.text("a"), play.pause("reset"), play.text("b"), play.reset())
    stream = model.stream(prompt(name))
    assert await anext(stream) == "a"
    upstream.release("reset")
    await upstream.until(name, "ended")
    await settle()
    assert await anext(stream) == "b"
    with pytest.raises(UpstreamUnavailable):
        await anext(stream)


def _stream_with_its_finish() -> tuple[bytes, int]:
    """An ordinary stream, and where its finish reason has come."""
    events = [
        b'data: {"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n',
        *(b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"tok%d"}}]}\n\n' % i for i in range(12)),
        b'data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    ]
    body = b"".join(events)
    return body + b"\n\ndata: [DONE]\n\n", len(body)


async def test_no_cut_before_the_finish_reason_counts_as_complete() -> None:
    body, finished = _stream_with_its_finish()
    chance = random.Random(7)
    cuts = [chance.randrange(finished) for _ in range(1000)]

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body[: cuts.pop()])

    model = OpenAIChatModel("key", http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(handle)))
    for _ in range(len(cuts)):
        heard = await listen(model, prompt())
        assert type(heard.error) is UpstreamInvalid
        assert "".join(f"tok{i}" for i in range(12)).startswith(heard.text)
    await model.aclose()
    assert not cuts


@pytest.mark.parametrize(
    ("then", "kind"), [("end", UpstreamInvalid), ("close", UpstreamUnavailable), ("reset", UpstreamUnavailable)]
)
async def test_no_cut_on_the_wire_counts_as_complete(
    model: OpenAIChatModel, upstream: Upstream, then: str, kind: type[UpstreamError]
) -> None:
    body, finished = _stream_with_its_finish()
    positions = random.Random(then).sample(range(1, finished), size(30, 340))
    names = [upstream.model(play.cut(position, then), play.raw(body)) for position in positions]
    for heard in await asyncio.gather(*(listen(model, prompt(name)) for name in names)):
        assert isinstance(heard.error, kind | UpstreamInvalid)
        assert not heard.finishes


@pytest.mark.parametrize(
    "script",
    [
        [play.html()],
        [play.html("")],
        EMPTY,
        [play.done()],
        [play.raw(b": hello\n\n")],
        [play.unframed(), play.end()],
        [play.head("application/json"), play.raw(b"{}")],
        [play.head("application/json"), play.raw(b"[]")],
        [play.head("application/json"), play.raw(b'{"choices": []}')],
        [play.head("application/json"), play.end()],
        [play.head("image/png"), play.raw(b"\x89PNG\r\n\x1a\n")],
        [play.head("text/plain"), play.raw(b"upstream connect error or disconnect: reset\n")],
        [play.head("application/json"), play.raw(b"<!doctype html>")],
        [play.html("\n\n  <html>data: [DONE]\n\n</html>")],
        [play.raw(b"not one of its fields\nbut plain words\n")],
    ],
)
async def test_what_is_no_answer_is_invalid(model: OpenAIChatModel, upstream: Upstream, script: Script) -> None:
    heard = await listen(model, prompt(upstream.model(*script)))
    assert type(heard.error) is UpstreamInvalid
    assert heard.pieces == []


async def test_an_error_in_a_json_body_is_known(model: OpenAIChatModel, upstream: Upstream) -> None:
    name = upstream.model(play.status(200, body='{"error": {"code": 429}}'))
    assert type((await listen(model, prompt(name))).error) is UpstreamRateLimited


@pytest.mark.parametrize(
    ("script", "deadline"),
    [
        ([play.hang()], 0.4),
        ([play.comments()], 0.4),
        ([play.raw(b""), play.hang()], 0.4),
        ([play.text("a"), play.hang()], 0.4),
        ([play.text("a"), play.comments()], 0.4),
        ([play.text("a"), play.raw(b"data: {"), play.hang()], 0.4),
        ([play.tokens(1000, every=0.02)], 2),
        ([play.head("application/json"), play.raw(b"{"), play.hang()], 0.4),
    ],
)
async def test_silence_ends_at_our_deadlines(
    hasty: OpenAIChatModel, upstream: Upstream, script: Script, deadline: float
) -> None:
    name = upstream.model(*script)
    heard = await listen(hasty, prompt(name))
    assert type(heard.error) is UpstreamTimeout
    assert deadline - 0.01 <= heard.seconds < deadline + LATE_S
    await upstream.until(name, "closed")


async def test_the_first_data_ends_the_first_deadline_and_any_data_the_idle_one(
    new_model: NewModel, upstream: Upstream
) -> None:
    model = new_model(deadlines=Deadlines(first_piece=1, idle=0.5, total=60))
    role = play.chunk(play.delta(role="assistant"))
    name = upstream.model(play.wait(0.6), *[role, play.wait(0.2)] * 4, *ANSWER)
    assert (await listen(model, prompt(name))).text == "Hello, world"


async def test_an_answer_that_was_finished_does_not_fail_by_what_follows(
    hasty: OpenAIChatModel, upstream: Upstream
) -> None:
    heard = await listen(hasty, prompt(upstream.model(play.text("a"), play.finish(), play.hang())))
    assert heard.finish.usage is None
    assert heard.seconds < 0.4 + LATE_S


@pytest.mark.parametrize(("status", "kind"), [(429, UpstreamRateLimited), (503, UpstreamUnavailable)])
async def test_a_deadline_during_the_wait_for_a_retry_is_the_refusal_not_a_time_out(
    new_model: NewModel, upstream: Upstream, status: int, kind: type[UpstreamError]
) -> None:
    model = new_model(max_retries=2, deadlines=Deadlines(first_piece=0.2))
    name = upstream.model(play.status(status, {"retry-after": "30"}))
    heard = await listen(model, prompt(name))
    assert type(heard.error) is kind
    assert heard.error.retry_after == 30
    assert heard.seconds < 0.2 + LATE_S
    assert len(upstream.seen(name)) == 1


async def test_a_deadline_during_a_second_try_is_a_time_out(new_model: NewModel, upstream: Upstream) -> None:
    model = new_model(max_retries=2, deadlines=Deadlines(first_piece=0.2))
    name = upstream.model([play.status(429, SOON)], [play.hang()])
    assert type((await listen(model, prompt(name))).error) is UpstreamTimeout


async def test_nobody_there_is_unavailable(new_model: NewModel) -> None:
    model = new_model(base_url=f"http://127.0.0.1:{free_port()}/v1")
    assert type((await listen(model, prompt())).error) is UpstreamUnavailable


async def test_a_deadline_while_nobody_is_there_is_unavailable_too(new_model: NewModel) -> None:
    deadlines = Deadlines(first_piece=0.2)
    model = new_model(base_url=f"http://127.0.0.1:{free_port()}/v1", max_retries=2, deadlines=deadlines)
    heard = await listen(model, prompt())
    assert type(heard.error) is UpstreamUnavailable
    assert heard.seconds < 0.2 + LATE_S


async def test_a_provider_that_hangs_up_before_it_answers_is_tried_again(
    new_model: NewModel, upstream: Upstream
) -> None:
    name = upstream.model([play.reset()], ANSWER)
    assert (await listen(new_model(max_retries=1), prompt(name))).text == "Hello, world"


@pytest.mark.parametrize(("status", "kind"), [(401, UpstreamAuthFailed), (404, UpstreamModelUnknown)])
async def test_a_final_refusal_is_not_tried_again(
    new_model: NewModel, upstream: Upstream, status: int, kind: type[UpstreamError]
) -> None:
    name = upstream.model(play.status(status))
    assert type((await listen(new_model(max_retries=2), prompt(name))).error) is kind
    assert len(upstream.seen(name)) == 1


@pytest.mark.parametrize(
    "fault", [play.hang(), play.comments(), play.error(), play.raw(b"data: {\n\n"), play.raw(b"x" * (2**20 + 1))]
)
async def test_a_failed_stream_leaves_no_connection_open(
    hasty: OpenAIChatModel, upstream: Upstream, fault: play.Step
) -> None:
    name = upstream.model(play.text("a"), fault, play.hang())
    assert all(heard.error for heard in await many(hasty, name, 5))
    # On a busy machine one of the five is given up before its request is out: nothing is open there.
    await upstream.until(name, "closed", count=max(1, len(upstream.seen(name))))


async def test_a_refusal_leaves_no_connection_open(model: OpenAIChatModel, upstream: Upstream) -> None:
    name = upstream.model(play.head("application/json", 500), play.raw(b"{"), play.hang())
    assert (await listen(model, prompt(name))).error
    await upstream.until(name, "closed")
