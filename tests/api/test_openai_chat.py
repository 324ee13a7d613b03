"""`POST /v1/chat/completions` on real sockets, as OpenAI's client shows what comes of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from chatorch.domain.model.conversation import Role
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.upstream_errors import UpstreamRateLimited
from chatorch.ports.chat_model import PartEnd, PartStart
from tests.support.api import MODEL, Api, Apis
from tests.support.eventually import eventually
from tests.support.fakes import Pause
from tests.support.ws import served, token_of

HI: list[Any] = [{"role": "user", "content": "Hi"}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}
TOOL = {"type": "function", "function": {"name": "find", "parameters": {}}}

Connect = Callable[..., Awaitable[AsyncOpenAI]]


@pytest.fixture
async def connect(apis: Apis) -> AsyncIterator[Connect]:
    """``await connect(api, alice)``: her client of that application, which serves on loopback from then on."""
    async with AsyncExitStack() as stack:

        async def to(api: Api, user: httpx.AsyncClient | None, **options: Any) -> AsyncOpenAI:
            door = await stack.enter_async_context(served(api))
            given = {"api_key": token_of(user)} if user else {"api_key": "none"}
            url = f"http://127.0.0.1:{door.port}/v1"
            return await stack.enter_async_context(AsyncOpenAI(base_url=url, **{**given, **options}))

        yield to


@pytest.fixture
async def client(api: Api, alice: httpx.AsyncClient, connect: Connect) -> AsyncOpenAI:
    return await connect(api, alice)


async def ask(client: AsyncOpenAI, **members: Any) -> Any:
    return await client.chat.completions.create(**{"model": MODEL, "messages": HI, **members})


CANNOT: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "n"),
    ({"n": True}, "n"),
    ({"logprobs": True}, "logprobs"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"function_call": {"name": "f"}}, "function_call"),
    ({"audio": {"voice": "alloy", "format": "mp3"}, "modalities": ["text", "audio"]}, "modalities"),
    ({"audio": {"voice": "alloy", "format": "mp3"}}, "audio"),
    ({"stop": ["x"]}, "stop"),
    ({"seed": 1}, "seed"),
    ({"top_p": 0.5}, "top_p"),
    ({"frequency_penalty": 1}, "frequency_penalty"),
    ({"logit_bias": {"50256": -100}}, "logit_bias"),
    ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"verbosity": "low"}, "verbosity"),
    ({"temperature": 3}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": "1"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
    ({"reasoning_effort": "Very much"}, "reasoning_effort"),
    ({"response_format": {"type": "xml"}}, "response_format"),
    ({"response_format": {"type": "text", "foo": 1}}, "response_format.foo"),
    ({"response_format": {"type": "json_object", "json_schema": {}}}, "response_format.json_schema"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "foo": 1}}},
        "response_format.json_schema.foo",
    ),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"metadata": {"long": "x" * 513}}, "metadata"),
    ({"metadata": {"number": 7}}, "metadata"),
    ({"metadata": {str(name): "x" for name in range(17)}}, "metadata"),
    ({"metadata": {str(name): 1 for name in range(5000)}}, "metadata"),
    ({"extra_body": {"top_k": 4}}, "top_k"),
    ({"extra_body": {"frobnicate": None}}, "frobnicate"),
    ({"extra_body": {"topK": 4}}, "topK"),
    ({"messages": []}, "messages"),
    ({"messages": "Hi"}, "messages"),
    ({"messages": [*HI, {"role": "assistant", "content": "Yes?"}]}, "messages"),
    ({"messages": [{"role": "user", "content": " "}]}, "messages[0].content"),
    ({"messages": [*HI, {"role": "user", "content": [IMAGE]}]}, "messages[1].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    ({"messages": [*HI, {"role": "tool", "tool_call_id": "c", "content": "x"}]}, "messages[1]"),
    ({"messages": [{"role": "assistant", "tool_calls": [TOOL]}, *HI]}, "messages[0].tool_calls[0].id"),
    ({"messages": [{"role": "user", "content": "Hi", "name": "bob"}]}, "messages[0].name"),
    ({"messages": [*HI, {"role": "user", "content": "Hi", "reasoning_content": "x"}]}, "messages[1].reasoning_content"),
    ({"messages": [{"role": "user", "content": "Hi", "annotations": [{}]}]}, "messages[0].annotations"),
    ({"messages": [{"role": "user", "content": "Hi", "tool_call_id": "c"}]}, "messages[0].tool_call_id"),
    ({"messages": [*HI, {"role": "assistant", "content": "x", "tool_call_id": "c"}, *HI]}, "messages[1].tool_call_id"),
]


async def test_what_a_parameter_cannot_do_is_refused_by_its_name(api: Api, alice: httpx.AsyncClient):
    for asked, param in CANNOT:
        body = {"model": MODEL, "messages": HI, **asked, **asked.get("extra_body", {})}
        body.pop("extra_body", None)
        refused = await alice.post("/v1/chat/completions", json=body)
        error = refused.json()["error"]
        told = (refused.status_code, error["param"], error["type"], error["code"])
        assert told == (400, param, "invalid_request_error", "invalid_request"), asked
        assert error["message"].startswith(f"{param}: ")
    assert not api.model.calls
    for name in ("sk0abc1", "a b", ""):  # may be a secret: it is not repeated
        error = (await alice.post("/v1/chat/completions", json={"messages": HI, name: 1})).json()["error"]
        assert error["param"] is None
        assert "sk0" not in error["message"]


async def test_and_the_client_shows_it(client: AsyncOpenAI):
    for asked, param in (CANNOT[0], CANNOT[-1]):
        with pytest.raises(openai.BadRequestError) as caught:
            await ask(client, **asked)
        assert (caught.value.param, caught.value.code) == (param, "invalid_request")


async def test_what_means_nothing_is_taken_as_clients_send_it_and_how_it_is_generated_goes_to_the_model(
    client: AsyncOpenAI, api: Api
):
    usual = {
        "n": 1, "logprobs": False, "top_logprobs": None, "top_p": 1.0, "frequency_penalty": 0, "presence_penalty": 0.0,
        "stop": None, "seed": None, "logit_bias": {}, "modalities": ["text"], "audio": None, "tools": [],
        "tool_choice": "auto", "parallel_tool_calls": True, "service_tier": "auto", "user": "somebody", "store": False,
        "metadata": {"a": "b"}, "response_format": {"type": "text"}, "stream_options": {"include_usage": True},
        "safety_identifier": "x", "prompt_cache_key": "y", "verbosity": None, "reasoning_effort": "none",
    }  # fmt: skip
    assert (await ask(client, **usual)).choices[0].message.content == "Hello world"
    assert api.model.calls[0].prompt.generation.asked() == {"reasoning_effort": "none", "unattended": True}

    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": {"type": "object"}}}
    await ask(client, temperature=0, max_completion_tokens=9, reasoning_effort="xhigh", response_format=form)
    assert api.model.calls[1].prompt.generation.asked() == {
        "temperature": 0,
        "max_output_tokens": 9,
        "reasoning_effort": "xhigh",
        "response_format": form,
        "unattended": True,
    }


async def test_the_history_is_the_clients_and_longer_than_a_message_of_the_guides_may_be(client: AsyncOpenAI, api: Api):
    long = "word " * 2000
    await ask(
        client,
        messages=[
            {"role": "system", "content": ""},
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What "}, {"type": "text", "text": "is it?"}]},
            {"role": "assistant", "content": None, "refusal": "No."},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "Really not."}]},
            {"role": "assistant", "content": None},
            {"role": "user", "content": long},
        ],
    )
    said = [(one.role, one.content) for one in api.model.calls[0].prompt.messages]
    assert [role for role, _ in said if role is not Role.ASSISTANT] == [Role.SYSTEM, Role.USER, Role.USER]
    assert [content for role, content in said if role is not Role.ASSISTANT] == ["Be brief.", "What is it?", long]
    assert "".join(content for role, content in said if role is Role.ASSISTANT).replace("\n", "") == "No.Really not."


async def test_its_thread_is_listed_only_where_the_client_says_so(client: AsyncOpenAI, alice: httpx.AsyncClient):
    got = await client.chat.completions.with_raw_response.create(model=MODEL, messages=HI)
    assert (await alice.get("/api/threads")).json()["data"] == []
    assert (await alice.get(f"/api/runs/{got.headers['x-chatorch-run']}")).json()["text"] == "Hello world"
    await ask(client, store=True, metadata={"ticket": "7"})
    [thread] = (await alice.get("/api/threads")).json()["data"]
    messages = (await alice.get(f"/api/threads/{thread['id']}/messages")).json()["data"]
    assert [(one["content"], one["metadata"]) for one in messages] == [("Hi", {"ticket": "7"}), ("Hello world", {})]


async def test_reasoning_and_sources_are_told_as_others_tell_them_and_calls_that_nobody_offered_are_not(
    client: AsyncOpenAI, api: Api
):
    steps = (
        *(PartStart(PartKind.REASONING), "Hm", "m", PartEnd(), PartStart(PartKind.TEXT), "See", PartEnd()),
        *(PartStart(PartKind.SOURCE, {"url": "https://x.example/", "title": "X"}), PartEnd()),
        *(PartStart(PartKind.TOOL_CALL, {"id": "call_1", "name": "find"}), '{"a"', ": 1}", PartEnd()),
        *(PartStart(PartKind.TOOL_CALL, {"id": "call_2", "name": "go"}), PartEnd()),
    )
    api.model.then(*steps)
    choice = (await ask(client)).choices[0]
    message = choice.message
    assert (message.content, message.reasoning_content, choice.finish_reason) == ("See", "Hmm", "stop")
    assert message.tool_calls is None
    assert message.annotations[0].url_citation.url == "https://x.example/"

    api.model.then(*steps)
    async with client.chat.completions.stream(model=MODEL, messages=HI) as stream:
        folded = (await stream.get_final_completion()).choices[0].message
    assert (folded.content, folded.reasoning_content, folded.refusal) == ("See", "Hmm", None)
    assert not folded.tool_calls
    assert folded.annotations == message.annotations


async def test_who_may_not_is_told_so_by_the_clients_own_errors(apis: Apis, connect: Connect):
    api = await apis.start()
    stranger = await connect(api, None)
    with pytest.raises(openai.AuthenticationError) as unknown:
        await ask(stranger)
    assert (unknown.value.code, unknown.value.type) == ("invalid_token", "authentication_error")
    client = stranger.with_options(api_key=token_of(await api.user("alice")))
    with pytest.raises(openai.NotFoundError) as caught:
        await ask(client, model="gpt-0")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("org/gpt-0")
    assert [model.id async for model in await client.models.list()] == [MODEL]
    assert (await client.models.retrieve(MODEL)).owned_by == "chatorch"


async def test_too_many_at_once_is_asked_again_when_we_say_so_and_no_more_often(apis: Apis, connect: Connect):
    api = await apis.start(max_live_runs_per_user=1)
    asked: list[float] = []

    async def note(_: httpx2.Request) -> None:
        asked.append(time.monotonic())

    http = openai.DefaultAsyncHttpx2Client(event_hooks={"request": [note]})
    client = await connect(api, await api.user("alice"), http_client=http, max_retries=1)
    pause = Pause()
    api.model.then("Hel", pause)
    async with await ask(client, stream=True):
        await api.model.called()
        asked.clear()
        with pytest.raises(openai.RateLimitError) as caught:
            await ask(client)
        assert (caught.value.code, caught.value.type) == ("too_many_runs", "rate_limit_error")
        assert len(asked) == 2
        assert asked[1] - asked[0] >= float(caught.value.response.headers["Retry-After"]) - 0.1
        pause.go_on()


async def whole_of(asking: Awaitable[Any]) -> list[Any]:
    """All chunks of a stream that is asked for."""
    return [chunk async for chunk in await asking]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_run_that_is_cancelled_elsewhere_is_the_clients_error(
    client: AsyncOpenAI, api: Api, alice: httpx.AsyncClient, stream: bool
):
    api.model.then("Hel", Pause())
    asking = asyncio.ensure_future(ask(client, stream=stream, extra_headers={"Idempotency-Key": "once"}))
    await api.model.called()

    async def live() -> str | None:
        joined = await client.chat.completions.with_raw_response.create(
            model=MODEL, messages=HI, stream=True, extra_headers={"Idempotency-Key": "once"}
        )
        return joined.headers["x-chatorch-run"]

    run_id = await live()
    await alice.post(f"/api/runs/{run_id}/cancel")
    with pytest.raises(openai.APIError if stream else openai.ConflictError) as caught:
        await whole_of(asking)
    assert caught.value.code == "run_cancelled"
    assert len(api.model.calls) == 1, "asked again"


async def test_the_same_key_once_more_is_the_same_completion(client: AsyncOpenAI, api: Api):
    key = {"extra_headers": {"Idempotency-Key": "k"}}
    first, again = await ask(client, **key), await ask(client, **key)
    assert (first.id, first.created) == (again.id, again.created)
    assert len(api.model.calls) == 1
    streamed = [chunk async for chunk in await ask(client, **key, stream=True)]
    assert {chunk.id for chunk in streamed} == {first.id}
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(client, **key, messages=[{"role": "user", "content": "Else"}])
    assert caught.value.param == "Idempotency-Key"


async def test_a_provider_without_room_is_told_with_when_to_come_again(client: AsyncOpenAI, api: Api):
    for stream in (False, True):
        api.model.then(UpstreamRateLimited(retry_after=7))
        with pytest.raises(openai.InternalServerError) as caught:
            await ask(client, stream=stream)
        assert (caught.value.status_code, caught.value.code) == (503, "upstream_rate_limited")
        assert caught.value.response.headers["Retry-After"] == "7"
    assert len(api.model.calls) == 2


async def test_who_leaves_before_a_word_leaves_the_run(client: AsyncOpenAI, api: Api, alice: httpx.AsyncClient):
    for stream in (False, True):
        pause = Pause()
        api.model.then(pause, "Hello")
        asking = asyncio.ensure_future(ask(client, stream=stream, store=True))
        await api.model.called(1 + stream)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        pause.go_on()

    async def ended() -> bool:
        threads = (await alice.get("/api/threads")).json()["data"]
        assert len(threads) == 2
        told = [(await alice.get(f"/api/threads/{one['id']}/messages")).json()["data"][-1] for one in threads]
        return {(message["content"], message["status"]) for message in told} == {("Hello", "complete")}

    await eventually(ended)


async def test_a_key_was_used_for_another_request_where_that_one_is_kept_and_this_is_not(
    client: AsyncOpenAI, alice: httpx.AsyncClient
):
    """Also over the other address, which keeps what it is not told otherwise."""
    key = {"Idempotency-Key": "k"}
    first = await ask(client, extra_headers=key)
    for address, other in (
        ("/v1/chat/completions", {"messages": HI, "store": True}),
        ("/v1/responses", {"input": "Hi"}),
        ("/v1/responses", {"input": "Hi", "store": True}),
    ):
        refused = await alice.post(address, json={"model": MODEL, **other}, headers=key)
        error = refused.json()["error"]
        told = (refused.status_code, error["code"], error["param"])
        assert told == (400, "idempotency_key_reused", "Idempotency-Key"), other
    same = {"model": MODEL, "input": "Hi", "store": False}
    joined = (await alice.post("/v1/responses", json=same, headers=key)).json()
    assert joined["id"].removeprefix("resp_") == first.id.removeprefix("chatcmpl-")


async def test_a_guest_has_one_turn_where_guests_are_allowed(apis: Apis, connect: Connect):
    api = await apis.start(anonymous_chat=True)
    nobody: dict[str, Any] = {"extra_headers": {"Authorization": openai.Omit()}}
    guest = await connect(api, None)
    assert (await ask(guest, **nobody)).choices[0].message.content == "Hello world"
    chunks = [chunk async for chunk in await ask(guest, stream=True, **nobody)]
    assert chunks[-1].choices[0].finish_reason == "stop"
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(guest, messages=[*HI, {"role": "assistant", "content": "Yes?"}, *HI], **nobody)
    assert caught.value.param == "messages"
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(guest, store=True, **nobody)
    assert caught.value.param == "store"
    closed = await connect(await apis.start(), None)
    with pytest.raises(openai.AuthenticationError):
        await ask(closed, **nobody)


async def test_a_page_of_another_origin_may_read_which_run_it_is(apis: Apis):
    api = await apis.start(cors_origins="https://page.example")
    alice = await api.user("alice")
    origin = {"Origin": "https://page.example"}
    got = await alice.post("/v1/chat/completions", json={"model": MODEL, "messages": HI}, headers=origin)
    assert got.headers["x-chatorch-run"].startswith("run_")
    assert "x-chatorch-run" in got.headers["Access-Control-Expose-Headers"].lower()
