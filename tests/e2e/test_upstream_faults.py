"""A provider that fails, seen from outside: what callers get, what is stored, and what nobody ever sees."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tests.e2e.conftest import ServerIn
from tests.support import upstream as play
from tests.support.accounts import sign_up
from tests.support.server import Server
from tests.support.sizes import size
from tests.support.sockets import Caller, Exchange, calling
from tests.support.upstream import ANSWER, EMPTY, Script, Step, Upstream

SOON = {"retry-after-ms": "1"}
AT_ONCE = 40
DEADLINE_S = 0.4
TOTAL_S = 2.0
LATE_S = size(100, 25) / 100
"""Where others use the processors as well."""
KEY = "sk-canary-0123456789"
ECHO = '{"error": {"message": "Wrong key: {authorization}, upstream-canary", "code": "invalid_api_key"}}'


@pytest.fixture(scope="module")
def hasty(server_in: ServerIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Waits 0.4 s for a first piece and between two, and 2 s in all."""
    hasty = server_in(
        tmp_path_factory.mktemp("hasty"),
        first_piece_timeout_s=DEADLINE_S,
        idle_timeout_s=DEADLINE_S,
        total_timeout_s=TOTAL_S,
    )
    hasty.settings["OPENAI_API_KEY"] = KEY
    asyncio.run(sign_up(hasty, "alice"))
    asyncio.run(hasty.start())
    yield hasty
    asyncio.run(hasty.stop())


@pytest.fixture(autouse=True)
def nothing_unhandled(server: Server, hasty: Server) -> Iterator[None]:
    """No fault of the provider's is an error of ours."""
    before = [*server.errors, *hasty.errors]
    yield
    assert [*server.errors, *hasty.errors] == before


async def all_of(asked: Callable[[int], Coroutine[Any, Any, Exchange]], times: int) -> list[Exchange]:
    """Asks so many times, some at once, and waits for the ends of the answers."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> Exchange:
        async with room:
            return await (await asked(number)).ended(30)

    return list(await asyncio.gather(*(one(number) for number in range(times))))


async def assert_failed(caller: Caller, stream: Exchange, code: str, text: str) -> None:
    """Heard once, and stored: a failed run with this text, its message incomplete."""
    assert stream.complete
    assert [event["type"] for event in stream.terminals] == ["run.failed"]
    assert stream.events[-1]["code"] == code
    assert stream.text == text
    assert stream.position == len(text) + 2, "a piece came twice, or none"
    run = await caller.run(stream.run_id)
    assert (run["status"], run["error"]["code"], run["text"]) == ("failed", code, text)
    message = (await caller.messages(run["thread_id"]))[-1]
    assert (message["status"], message["content"]) == ("incomplete", text)


def assert_problem(answer: Exchange, status: int, code: str) -> None:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json["code"] == code
    assert answer.json["run_id"].startswith("run_")


# -- before the first byte -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "headers", "status", "code", "retry_after"),
    [
        (429, {"retry-after": "1"}, 503, "upstream_rate_limited", "1"),
        (429, SOON, 503, "upstream_rate_limited", "1"),
        (503, SOON, 503, "upstream_unavailable", "1"),
        (500, SOON, 502, "upstream_error", None),
    ],
)
async def test_a_refusal_before_the_first_byte_is_tried_three_times_in_all(
    server: Server,
    upstream: Upstream,
    refusal: int,
    headers: dict[str, str],
    status: int,
    code: str,
    retry_after: str | None,
) -> None:
    times = size(20, 100)
    model = upstream.model(play.status(refusal, headers))
    async with calling(server) as caller:
        for answer in await all_of(lambda _: caller.say("Hi", model=model, stream=False), times):
            assert_problem(answer, status, code)
            assert answer.headers.get("retry-after") == retry_after
    assert len(upstream.seen(model)) == 3 * times


async def test_a_long_wait_that_the_provider_asks_for_is_passed_on(server: Server, upstream: Upstream) -> None:
    model = upstream.model(
        [play.status(429, SOON)], [play.status(429, SOON)], [play.status(429, {"retry-after": "37"})]
    )
    async with calling(server) as caller:
        answer = await (await caller.say("Hi", model=model, stream=False)).ended()
    assert_problem(answer, 503, "upstream_rate_limited")
    assert answer.headers["retry-after"] == "37"


async def test_who_streams_hears_of_a_refusal_as_an_event(server: Server, upstream: Upstream) -> None:
    model = upstream.model(play.status(503, SOON))
    async with calling(server) as caller:
        stream = await (await caller.say("Hi", model=model)).ended()
        assert stream.status == 200
        await assert_failed(caller, stream, "upstream_unavailable", "")


async def test_a_refusal_that_passes_is_not_noticed(server: Server, upstream: Upstream) -> None:
    model = upstream.model([play.status(500, SOON)], [play.status(429, SOON)], ANSWER)
    async with calling(server) as caller:
        answer = await (await caller.say("Hi", model=model, stream=False)).ended()
    assert (answer.status, answer.json["response"]) == (200, "Hello, world")


@pytest.mark.parametrize("refusal", [401, 403])
async def test_a_refused_key_is_told_to_nobody(hasty: Server, upstream: Upstream, refusal: int) -> None:
    model = upstream.model(play.status(refusal, body=ECHO))
    async with calling(hasty) as caller:
        answer = await (await caller.say("Hi", model=model, stream=False)).ended()
        assert_problem(answer, 502, "upstream_auth")
        stream = await (await caller.say("Hi", model=model)).ended()
        await assert_failed(caller, stream, "upstream_auth", "")
        shown = [answer.body.decode(), stream.body.decode(), (await caller.get("/metrics")).body.decode(), hasty.log]
    seen = upstream.seen(model)
    assert [one.headers["authorization"] for one in seen] == [f"Bearer {KEY}"] * 2, "a wrong key is not tried again"
    assert not [text for text in shown if KEY in text or "upstream-canary" in text]


# -- after the first byte --------------------------------------------------------------------------------------------

FAULTS: list[tuple[Step, str]] = [
    (play.reset(), "upstream_unavailable"),
    (play.close(), "upstream_unavailable"),
    (play.end(), "upstream_invalid"),
    (play.raw(b'data: {"choices": [{"delta"\n\n'), "upstream_invalid"),
    (play.raw(b"data: upstream-canary\n\n"), "upstream_invalid"),
    (play.error("upstream-canary"), "upstream_error"),
    (play.error("upstream-canary", "rate_limit_exceeded", 429), "upstream_rate_limited"),
    (play.error("upstream-canary", "overloaded_error", 503), "upstream_unavailable"),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
async def test_a_fault_midway_ends_the_run_once_and_keeps_what_was_said(
    server: Server, upstream: Upstream, fault: Step, code: str
) -> None:
    times = size(30, 500)
    model = upstream.model(play.tokens(20), fault)
    said = "".join(f" tok{i}" for i in range(20))
    async with calling(server) as caller:
        streams = await all_of(lambda _: caller.say("Hi", model=model), times)
        for stream in streams:
            await assert_failed(caller, stream, code, said)
        answer = await (await caller.say("Hi", model=model, stream=False)).ended()
        assert answer.status in {502, 503}
        assert_problem(answer, answer.status, code)
        assert not [text for text in (answer.body, *(s.body for s in streams)) if b"canary" in text]
    assert len(upstream.seen(model)) == times + 1, "tried again after the first byte"
    assert "upstream-canary" not in server.log


async def test_no_stream_that_was_cut_off_is_ever_stored_as_complete(server: Server, upstream: Upstream) -> None:
    pieces = [f"piece{i} " for i in range(12)]
    events = [b"data: " + json.dumps(play.delta(content=piece)).encode() + b"\n\n" for piece in pieces]
    body = b"".join(events)
    # Where a cut is hardest to see, and anywhere.
    chance = random.Random(11)
    boundaries = [0, *(end - back for end in _ends(events) for back in (0, 1, 2))]
    cuts = boundaries + [chance.randrange(len(body) + 1) for _ in range(size(60, 1000) - len(boundaries))]
    assert len(set(cuts)) >= size(50, 500)
    models = [upstream.model(play.cut(cut, "end"), play.raw(body)) for cut in cuts]
    async with calling(server) as caller:
        for cut, stream in zip(cuts, await all_of(lambda n: caller.say("Hi", model=models[n]), len(cuts)), strict=True):
            whole = [piece for piece, end in zip(pieces, _ends(events), strict=True) if end <= cut]
            text = "".join(whole)
            # An event that lacks nothing but its blank line counts, as several providers end their streams so.
            if stream.text != text:
                text = "".join(pieces[: len(whole) + 1])
                assert body[cut : _ends(events)[len(whole)]].strip() == b""
            await assert_failed(caller, stream, "upstream_invalid", text)


def _ends(events: list[bytes]) -> list[int]:
    return [sum(map(len, events[: i + 1])) for i in range(len(events))]


@pytest.mark.parametrize("script", [[play.html("upstream-canary")], EMPTY, [play.done()], [play.raw(b": hello\n\n")]])
async def test_what_is_no_answer_is_invalid(server: Server, upstream: Upstream, script: Script) -> None:
    model = upstream.model(*script)
    async with calling(server) as caller:
        answer = await (await caller.say("Hi", model=model, stream=False)).ended()
        assert_problem(answer, 502, "upstream_invalid")
        stream = await (await caller.say("Hi", model=model)).ended()
        await assert_failed(caller, stream, "upstream_invalid", "")
        assert b"canary" not in answer.body + stream.body


# -- deadlines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "deadline", "text"),
    [
        ([play.hang()], DEADLINE_S, ""),
        ([play.comments()], DEADLINE_S, ""),
        ([play.text("half"), play.hang()], DEADLINE_S, "half"),
        ([play.text("half"), play.comments()], DEADLINE_S, "half"),
        ([play.text("half", ""), play.raw(b"data: {"), play.hang()], DEADLINE_S, "half"),
        ([play.text(*"x" * 1000, every=0.02)], TOTAL_S, None),
    ],
)
async def test_a_provider_that_does_not_get_on_is_left_at_our_deadline(
    hasty: Server, upstream: Upstream, script: Script, deadline: float, text: str | None
) -> None:
    model = upstream.model(*script)
    async with calling(hasty) as caller:
        began = time.monotonic()
        waiting, stream = [await caller.say("Hi", model=model, stream=streamed) for streamed in (False, True)]
        await asyncio.gather(waiting.ended(), stream.ended())
        took = time.monotonic() - began
        assert deadline - 0.01 <= took < deadline + LATE_S
        assert_problem(waiting, 504, "upstream_timeout")
        await assert_failed(caller, stream, "upstream_timeout", stream.text if text is None else text)
    await upstream.until(model, "closed", count=2)
