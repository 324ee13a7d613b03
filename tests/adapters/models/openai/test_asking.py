"""Providers that refuse a member of ours which they could do without."""

import asyncio
import json
import time

import pytest

from chatorch.adapters.models.upstream.deadlines import Deadlines
from chatorch.domain.model.conversation import UsageSource
from chatorch.domain.model.upstream_errors import UpstreamRejected, UpstreamTimeout
from tests.adapters.models.conftest import KEY, LATE_S, NewModel
from tests.support import upstream as play
from tests.support.chat import listen, prompt
from tests.support.logged import logged
from tests.support.upstream import ANSWER, Step, Upstream

UNKNOWN = "Unrecognized request argument supplied: "
FIRST = {"stream", "stream_options"}


def refusal(member: str, code: int = 400) -> Step:
    """It echoes the key, as some servers do."""
    body = {"error": {"message": UNKNOWN + member, "param": None}, "sent_by": "{authorization}"}
    return play.status(code, body=json.dumps(body))


def members(upstream: Upstream, name: str) -> list[set[str]]:
    return [set(seen.body) - {"model", "messages"} for seen in upstream.seen(name)]


@pytest.mark.parametrize("code", [400, 422])
async def test_an_optional_member_that_is_refused_is_left_out_and_that_is_remembered(
    new_model: NewModel, upstream: Upstream, code: int
) -> None:
    name = upstream.model(play.refuses("stream_options", refusal("stream_options", code)), *ANSWER)
    model = new_model()
    with logged() as log:
        for _ in range(3):
            assert (await listen(model, prompt(name))).text == "Hello, world"
    assert members(upstream, name) == [FIRST, {"stream"}, {"stream"}, {"stream"}]
    [line] = log.lines
    assert (line["event"], line["model"], line["members"]) == ("provider_refuses_members", name, ["stream_options"])
    assert KEY not in log.text


@pytest.mark.parametrize(
    "body",
    [
        '{"detail": [{"loc": ["body", "stream_options"], "type": "extra_forbidden", "msg": "Extra inputs …"}]}',
        'json: unknown field "stream_options"',
        '[{"error": {"code": 400, "message": "Unknown name \\"stream_options\\": Cannot find field."}}]',
        "<html><body>Unknown field &#39;stream_options&#39;</body></html>",
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/html", "text/plain; charset=nonsense", "text/event-stream"])
async def test_the_content_type_of_a_refusal_does_not_matter(
    new_model: NewModel, upstream: Upstream, body: str, kind: str
) -> None:
    answer = play.status(400, {"content-type": kind}, body)
    name = upstream.model(play.refuses("stream_options", answer), *ANSWER)
    assert (await listen(new_model(), prompt(name))).finish


async def test_several_that_are_refused_one_after_the_other_cost_one_more_request_each(
    new_model: NewModel, upstream: Upstream
) -> None:
    refuses = [play.refuses(member, refusal(member)) for member in ("user", "stream_options", "stream")]
    name = upstream.model(*refuses, play.json_answer("Hello, world"))
    model = new_model(send_user=True)
    for _ in range(2):
        heard = await listen(model, prompt(name))
        assert heard.pieces == ["Hello, world"]
        assert heard.finish.usage is not None
        assert heard.finish.usage.source is UsageSource.PROVIDER
    assert members(upstream, name) == [{*FIRST, "user"}, FIRST, {"stream"}, set(), set()]


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported value: 'stream' does not support true with this model.",
        "streaming is not supported for this model",
        "This model does not support streaming.",
    ],
)
async def test_a_model_that_does_not_stream_answers_in_one_piece(
    new_model: NewModel, upstream: Upstream, message: str
) -> None:
    answer = play.status(400, body=json.dumps({"error": {"message": message}}))
    name = upstream.model(play.refuses("stream", answer), play.json_answer("Hello, world"))
    assert (await listen(new_model(), prompt(name))).pieces == ["Hello, world"]
    assert members(upstream, name) == [FIRST, set()]


async def test_what_one_model_refuses_is_sent_to_the_others(new_model: NewModel, upstream: Upstream) -> None:
    refusing = upstream.model(play.refuses("stream_options", refusal("stream_options")), *ANSWER)
    other = upstream.model(*ANSWER)
    model = new_model()
    for name in (refusing, other):
        assert (await listen(model, prompt(name))).finish
    assert members(upstream, other) == [FIRST]


async def test_many_runs_that_begin_at_once_all_succeed_and_one_line_says_so(
    new_model: NewModel, upstream: Upstream
) -> None:
    name = upstream.model(play.refuses("stream_options", refusal("stream_options")), *ANSWER)
    model = new_model()
    with logged() as log:
        heard = await asyncio.gather(*(listen(model, prompt(name)) for _ in range(40)))
        heard.append(await listen(model, prompt(name)))
    assert {one.finish.reason for one in heard} == {"stop"}
    assert len(log.lines) == 1
    assert len(upstream.seen(name)) <= 81
    assert members(upstream, name)[-1] == {"stream"}


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"message": "Conversation roles must alternate user/assistant/user/assistant"}}',
        '{"error": {"message": "user message too long"}}',
        '{"error": {"message": "user quota exceeded", "param": "messages"}}',
        "",
        "not json",
    ],
)
async def test_a_refusal_that_names_nothing_of_ours_is_not_asked_again(
    new_model: NewModel, upstream: Upstream, body: str
) -> None:
    name = upstream.model(play.status(400, body=body))
    heard = await listen(new_model(send_user=True, max_retries=2), prompt(name))
    assert type(heard.error) is UpstreamRejected
    assert len(upstream.seen(name)) == 1


async def test_what_is_refused_all_the_same_is_an_ordinary_failure_and_teaches_nothing(
    new_model: NewModel, upstream: Upstream
) -> None:
    name = upstream.model(refusal("stream_options"))
    model = new_model()
    with logged() as log:
        for _ in range(2):
            heard = await listen(model, prompt(name))
            assert type(heard.error) is UpstreamRejected
            assert heard.error.__cause__ is None
            assert heard.error.__context__ is None
            assert KEY not in repr(heard.error)
    assert members(upstream, name) == [FIRST, {"stream"}, FIRST, {"stream"}]
    assert not log.lines


async def test_a_refusal_of_something_else_after_the_repetition_teaches_nothing(
    new_model: NewModel, upstream: Upstream
) -> None:
    name = upstream.model([refusal("stream_options")], [play.status(500)], ANSWER)
    model = new_model()
    assert (await listen(model, prompt(name))).error
    assert (await listen(model, prompt(name))).finish
    assert members(upstream, name)[-1] == FIRST


async def test_the_repetition_is_retried_like_any_request(new_model: NewModel, upstream: Upstream) -> None:
    soon = play.status(503, {"retry-after-ms": "1"})
    name = upstream.model([soon], [refusal("stream_options")], [soon], ANSWER)
    assert (await listen(new_model(max_retries=2), prompt(name))).text == "Hello, world"
    assert members(upstream, name) == [FIRST, FIRST, {"stream"}, {"stream"}]


async def test_the_repetition_keeps_to_the_same_deadline(new_model: NewModel, upstream: Upstream) -> None:
    name = upstream.model([play.wait(1), refusal("stream_options")], [play.hang()])
    heard = await listen(new_model(deadlines=Deadlines(first_piece=1.3)), prompt(name))
    assert type(heard.error) is UpstreamTimeout
    assert 1.29 <= heard.seconds < 1 + 1.3, "it began anew"
    await upstream.until(name, "closed")


async def test_a_refusal_whose_body_does_not_end_is_a_refusal_all_the_same(
    new_model: NewModel, upstream: Upstream
) -> None:
    name = upstream.model(play.head("application/json", 400), play.raw(b'{"error": '), play.hang())
    heard = await listen(new_model(deadlines=Deadlines(first_piece=0.3)), prompt(name))
    assert type(heard.error) is UpstreamRejected
    assert heard.seconds < 0.3 + LATE_S
    await upstream.until(name, "closed")


@pytest.mark.parametrize(
    "scripts",
    [
        [[refusal("stream_options")], [play.hang()]],
        [[play.head("application/json", 400), play.raw(b'{"error": '), play.hang()]],
    ],
    ids=["during the repetition", "while the refusal is read"],
)
async def test_a_cancel_meanwhile_hangs_up_at_once(
    new_model: NewModel, upstream: Upstream, scripts: list[list[Step]]
) -> None:
    name = upstream.model(*scripts)
    waiting = asyncio.ensure_future(listen(new_model(), prompt(name)))
    await upstream.until(name, "seen", count=len(scripts))
    stopped = time.monotonic()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    seen = (await upstream.until(name, "closed"))[-1]
    assert seen.closed_at is not None
    assert seen.closed_at - stopped < LATE_S


async def test_a_body_beyond_the_limit_names_nothing(new_model: NewModel, upstream: Upstream) -> None:
    name = upstream.model(play.status(400, body=UNKNOWN + "stream_options" + " " * 17_000))
    assert type((await listen(new_model(), prompt(name))).error) is UpstreamRejected
    assert len(upstream.seen(name)) == 1


async def test_an_answer_as_one_piece_has_the_time_of_a_whole_one(new_model: NewModel, upstream: Upstream) -> None:
    model = new_model(deadlines=Deadlines(first_piece=0.2, idle=0.2, total=0.8))
    patient = [play.refuses("stream", refusal("stream")), play.wait(0.4), play.json_answer("Hello, world")]
    name = upstream.model(*patient)
    for _ in range(2):
        assert (await listen(model, prompt(name))).text == "Hello, world"
    upstream.play(name, [play.hang()])
    heard = await listen(model, prompt(name))
    assert type(heard.error) is UpstreamTimeout
    assert 0.79 < heard.seconds < 0.8 + LATE_S
