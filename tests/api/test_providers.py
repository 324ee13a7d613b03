"""Several providers behind one service: who is asked, what is stored and told, and one from outside the project."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from dependency_injector import providers

from chatorch.adapters.models.upstream.deadlines import Deadlines
from chatorch.entrypoints.app import create_app
from chatorch.entrypoints.container import Container
from chatorch.entrypoints.settings import Settings
from tests.support.api import SECRET_KEY, Api, cheap_passwords, frames_of, newest_run, problem_of, said, sqlite_copy
from tests.support.fakes import ScriptedChatModel
from tests.support.toy_provider import WORDS, ToyChatModel, ToyProvider, toy_provider
from tests.support.upstream import Upstream, status

CHAT = "/api/chat/protected"
KEYS = {"main": "sk-main-canary", "local": "sk-local-canary"}

Start = Callable[..., Any]


@pytest.fixture
async def toy() -> AsyncIterator[ToyProvider]:
    async with toy_provider() as toy:
        yield toy


@pytest.fixture
async def start(migrated_sqlite: Path, tmp_path: Path, upstream: Upstream, toy: ToyProvider) -> AsyncIterator[Start]:
    """Alice, at an application with the providers main, local (both on the same server) and toy."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> httpx.AsyncClient:
            usual = {
                "secret_key": SECRET_KEY,
                "database_url": sqlite_copy(migrated_sqlite, tmp_path),
                "openai_api_key": KEYS["main"],
                "openai_base_url": upstream.base_url,
                "model": "mock-2-0",
                "providers": [
                    {"name": "main"},
                    {"name": "local", "base_url": upstream.base_url, "api_key": KEYS["local"], "models": "mock-3-0"},
                ],
            }
            container = Container(settings=Settings(**usual | settings), passwords=providers.Object(cheap_passwords()))
            add_toy(container, toy)
            api = Api(create_app(container), container, ScriptedChatModel())
            await stack.enter_async_context(api.app.router.lifespan_context(api.app))
            stack.push_async_callback(api.close)
            return await api.user("alice")

        yield start


def add_toy(container: Container, toy: ToyProvider) -> None:
    """All that it takes: one more name."""
    ours = container.chat_models()
    making = partial(ToyChatModel, toy.address, Deadlines(first_piece=1))
    container.chat_models.override(providers.Object({**ours, "toy": making}))


async def answer_of(alice: httpx.AsyncClient, model: str | None, text: str = "Hi") -> dict[str, Any]:
    asked = said(text) | ({"model": model} if model else {})
    answer = await alice.post(CHAT, json=asked)
    return answer.raise_for_status().json()


async def test_a_model_is_asked_of_the_provider_that_its_name_says(start: Start, upstream: Upstream) -> None:
    upstream.clear()
    alice = await start(allowed_models="mock-4-0,local:mock-1-0")
    for name, bare, key in (
        (None, "mock-2-0", "main"),
        ("main:mock-2-0", "mock-2-0", "main"),
        ("main:mock-4-0", "mock-4-0", "main"),
        ("local:mock-3-0", "mock-3-0", "local"),
        ("local:mock-1-0", "mock-1-0", "local"),
    ):
        body = await answer_of(alice, name)
        assert body["model"] == (name or "mock-2-0")
        run = (await alice.get(f"/api/runs/{body['run_id']}")).json()
        assert run["model"] == body["model"]
        seen = upstream.seen(bare)[-1]
        assert seen.body["model"] == bare
        assert seen.headers["authorization"] == f"Bearer {KEYS[key]}"
    for name in ("local:mock-4-0", "local:", "mock-3-0", "toy:a"):
        refused = await alice.post(CHAT, json=said() | {"model": name})
        assert (refused.status_code, refused.json()["code"]) == (422, "model_not_allowed")
    assert "model" not in (await alice.get("/health")).json()


async def test_an_error_names_the_settings_of_the_provider_that_made_it(start: Start, upstream: Upstream) -> None:
    alice = await start(allowed_models="*,local:*,toy:refused")
    gone, refusing = upstream.model(status(404)), upstream.model(status(401, body="{authorization}"))
    for name, words in (
        (gone, "and OPENAI_BASE_URL?"),
        (refusing, "see OPENAI_API_KEY."),
        (f"local:{gone}", "and CHATORCH_PROVIDER_LOCAL_BASE_URL?"),
        (f"local:{refusing}", "see CHATORCH_PROVIDER_LOCAL_API_KEY."),
        ("toy:refused", "see TOY_KEY."),
    ):
        answer = await alice.post(CHAT, json=said() | {"model": name})
        assert answer.json()["detail"].endswith(words)
        assert "canary" not in answer.text
        run = (await alice.get(f"/api/runs/{await newest_run(alice)}")).json()
        assert run["error"]["detail"].endswith(words)


async def test_a_provider_from_outside_answers_like_any_other(start: Start, toy: ToyProvider) -> None:
    alice = await start(allowed_models="toy:*")
    body = await answer_of(alice, "toy:voices/low:1", "Sing")
    assert (body["response"], body["model"], body["finish_reason"]) == ("".join(WORDS), "toy:voices/low:1", "stop")
    assert toy.asked[-1] == {"voice": "voices/low:1", "lines": [["user", "Sing"]]}
    streamed = await alice.post(CHAT, json=said() | {"model": "toy:low", "stream": True})
    assert [frame.event for frame in frames_of(streamed.text)][-1] == "run.completed"
    late = await alice.post(CHAT, json=said() | {"model": "toy:silent"})
    problem_of(late, 504, "upstream_timeout", "run_id")
