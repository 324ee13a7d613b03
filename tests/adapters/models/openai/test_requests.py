"""What is asked of the provider, and through which client."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import respx

from chatorch.adapters.models.openai.chat_model import OpenAIChatModel
from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import Role
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.upstream_errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamModelUnknown,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from chatorch.ports.chat_model import Prompt
from tests.adapters.models.conftest import KEY, NewModel
from tests.support.chat import listen, prompt
from tests.support.openai_bridge import bridged
from tests.support.upstream import ANSWER, Upstream

OPENAI = "https://api.openai.com/v1"
COMPLETION = (
    b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
)
STREAMED = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=COMPLETION)


@pytest.fixture
def router() -> respx.MockRouter:
    return respx.MockRouter()


@pytest.fixture
async def model(router: respx.MockRouter) -> AsyncIterator[OpenAIChatModel]:
    model = OpenAIChatModel(KEY, http_client=bridged(router))
    yield model
    await model.aclose()


async def body_of(router: respx.MockRouter, asked: Prompt, **arguments: Any) -> dict[str, Any]:
    base_url = arguments.get("base_url", OPENAI)
    route = router.post(f"{base_url}/chat/completions").mock(STREAMED)
    model = OpenAIChatModel(KEY, http_client=bridged(router), **arguments)
    assert (await listen(model, asked)).text == "Hi"
    await model.aclose()
    body: dict[str, Any] = json.loads(route.calls.last.request.content)
    return body


async def test_the_request_is_a_streamed_chat_completion_with_usage(
    model: OpenAIChatModel, router: respx.MockRouter
) -> None:
    route = router.post(f"{OPENAI}/chat/completions").mock(STREAMED)
    messages = (PromptMessage(Role.SYSTEM, "Be kind."), PromptMessage(Role.USER, "Hé 😀\n"))
    await listen(model, Prompt("gpt-x", messages, "usr_1"))
    request = route.calls.last.request
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content) == {
        "model": "gpt-x",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hé 😀\n"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "user": "usr_1",
    }


async def test_only_openai_itself_is_told_the_user_unless_asked_for(router: respx.MockRouter) -> None:
    other = "http://localhost:11434/v1"
    assert "user" not in await body_of(router, prompt(), base_url=other)
    assert (await body_of(router, prompt(user="usr_7"), base_url=other, send_user=True))["user"] == "usr_7"
    assert "user" not in await body_of(router, prompt(), send_user=False)


async def test_how_to_generate_goes_along_in_the_providers_words(router: respx.MockRouter) -> None:
    form = {"type": "json_object"}
    asked = replace(prompt(), generation=Generation(0.0, 5, "low", form, "In verse."))
    body = await body_of(router, asked)
    assert (body["temperature"], body["reasoning_effort"], body["response_format"]) == (0.0, "low", form)
    assert body["max_completion_tokens"] == 5
    assert not body.keys() & {"max_tokens", "instructions"}
    other = await body_of(router, asked, base_url="http://127.0.0.1:1/v1")
    assert (other["max_tokens"], "max_completion_tokens" in other) == (5, False)
    usual = await body_of(router, prompt())
    assert not usual.keys() & {"temperature", "reasoning_effort", "response_format", "max_completion_tokens"}


@pytest.mark.parametrize(
    ("status", "calls", "kind"),
    [
        (400, 1, UpstreamRejected),
        (401, 1, UpstreamAuthFailed),
        (403, 1, UpstreamAuthFailed),
        (404, 1, UpstreamModelUnknown),
        (408, 3, UpstreamTimeout),
        (422, 1, UpstreamRejected),
        (429, 3, UpstreamRateLimited),
        (500, 3, UpstreamError),
        (502, 3, UpstreamUnavailable),
        (503, 3, UpstreamUnavailable),
        (504, 3, UpstreamTimeout),
    ],
)
async def test_the_sdk_tries_again_where_it_makes_sense_and_the_error_is_known(
    model: OpenAIChatModel, router: respx.MockRouter, status: int, calls: int, kind: type[UpstreamError]
) -> None:
    route = router.post(f"{OPENAI}/chat/completions").respond(
        status, headers={"retry-after-ms": "1"}, text="secret words"
    )
    heard = await listen(model, prompt())
    assert type(heard.error) is kind
    assert route.call_count == calls
    assert "secret words" not in repr(heard.error)


@pytest.mark.parametrize(
    ("error", "kind"), [(httpx.ConnectError, UpstreamUnavailable), (httpx.ConnectTimeout, UpstreamTimeout)]
)
async def test_a_connection_that_fails_is_known(
    router: respx.MockRouter, error: type[Exception], kind: type[UpstreamError]
) -> None:
    router.post(f"{OPENAI}/chat/completions").mock(side_effect=error)
    model = OpenAIChatModel(KEY, http_client=bridged(router), max_retries=0)
    assert type((await listen(model, prompt())).error) is kind
    await model.aclose()


async def test_a_server_of_ones_own_needs_no_key(new_model: NewModel, upstream: Upstream) -> None:
    name = upstream.model(*ANSWER)
    assert (await listen(new_model(api_key=None), prompt(name))).finish
    assert upstream.seen(name)[0].headers["authorization"] == "Bearer none"


async def test_credentials_in_the_address_are_sent_as_basic_authentication(
    new_model: NewModel, upstream: Upstream
) -> None:
    name = upstream.model(*ANSWER)
    model = new_model(base_url=upstream.base_url.replace("http://", "http://me:p%40ss@"))
    assert (await listen(model, prompt(name))).finish
    assert upstream.seen(name)[0].headers["authorization"] == "Basic bWU6cEBzcw=="


async def test_no_compression_is_asked_for(new_model: NewModel, upstream: Upstream) -> None:
    name = upstream.model(*ANSWER)
    await listen(new_model(), prompt(name))
    assert upstream.seen(name)[0].headers["accept-encoding"] == "identity"


async def test_reasoning_goes_back_as_it_came(router: respx.MockRouter) -> None:
    details = [
        {"type": "reasoning.text", "signature": "s", "index": 0, "format": "f"},
        {"type": "reasoning.encrypted", "data": "d"},
    ]
    signed = Part(PartKind.REASONING, {}, "Hm, ", {"details": details}, closed=True)
    plain = Part(PartKind.REASONING, {}, "so", closed=True)
    sealed = Part(PartKind.REASONING, {}, "", {"details": [{"type": "reasoning.encrypted", "data": "e"}]}, closed=True)
    answers = [(signed, plain), (plain,), (sealed,), ()]
    messages = tuple(PromptMessage(Role.ASSISTANT, "Hi", parts) for parts in answers)
    body = await body_of(router, Prompt("gpt-x", (PromptMessage(Role.USER, "Hello"), *messages), "usr_1"))
    assert body["messages"] == [
        {"role": "user", "content": "Hello"},
        {
            "role": "assistant",
            "content": "Hi",
            "reasoning_content": "Hm, so",
            "reasoning_details": [{**details[0], "text": "Hm, "}, details[1]],
        },
        {"role": "assistant", "content": "Hi", "reasoning_content": "so"},
        {"role": "assistant", "content": "Hi", "reasoning_details": [{"type": "reasoning.encrypted", "data": "e"}]},
        {"role": "assistant", "content": "Hi"},
    ]
