"""What `chatorch doctor` says of a provider: its models and one token, and each way that these can be wrong."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from chatorch.entrypoints.container import Container
from chatorch.entrypoints.doctor.finding import Finding
from chatorch.entrypoints.doctor.inside import look_inside
from chatorch.entrypoints.settings import Settings
from tests.support.api import sqlite_copy
from tests.support.ways import closed_port

KEY = "sk-canary4711canary4711"
MODEL = "model-a"
ECHO = f"Incorrect API key provided: {KEY}\r\n\x1b[31mforged Say: ok"


def answer(status: int, body: object, content_type: str = "application/json") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"content-type: {content_type}\r\ncontent-length: {len(data)}\r\nretry-after-ms: 1"
    return f"HTTP/1.1 {status} X\r\n{head}\r\n\r\n".encode() + data


def refusal(status: int, code: str = "x") -> bytes:
    return answer(status, {"error": {"message": ECHO, "code": code, "type": code}})


def listed(*names: str) -> bytes:
    return answer(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


TOKEN = answer(
    200,
    b'data: {"choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n',
    "text/event-stream",
)
PAGE = answer(200, f"<html>{ECHO}</html>".encode(), "text/html")


@asynccontextmanager
async def provider(models: bytes, chat: bytes, prefix: str = "/v1") -> AsyncIterator[str]:
    """Its base URL. Whatever is below another prefix is not found."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ")[1].decode()
                length = next(
                    (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), b":0"
                )
                await reader.readexactly(int(length.partition(b":")[2]))
                known = {f"{prefix}/models": models, f"{prefix}/chat/completions": chat}
                writer.write(known.get(path, refusal(404)))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.sleep(0)


@pytest.fixture
def database_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    return sqlite_copy(migrated_sqlite, tmp_path)


async def found_of(database_url: str, **settings: object) -> dict[str, tuple[bool, str]]:
    """What is found, by topic; nothing that a provider said, and no key, is in it."""
    given = {"secret_key": "s" * 32, "openai_api_key": KEY, "model": MODEL}
    container = Container(settings=Settings(**{**given, "database_url": database_url, **settings}))
    found = await look_inside(container)
    await container.chat_model().aclose()
    await container.database().close()
    for one in found:
        assert str(one).isprintable()
        assert not [word for word in ("canary", "forged", "Say: ok") if word in str(one)]
    return {one.topic: (one.well, one.words) for one in found}


async def told(base_url: str, database_url: str, **settings: object) -> tuple[Finding, Finding]:
    """Of its models, and of its answer."""
    found = await found_of(database_url, openai_base_url=base_url, **settings)
    of_models, of_answer = (Finding(topic, *found[topic]) for topic in ("provider's models", "provider's answer"))
    return of_models, of_answer


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (listed(MODEL, "model-b"), "it lists 2, CHATORCH_MODEL among them"),
        (listed("model-b"), "CHATORCH_MODEL is not among them"),
        (refusal(404), "it lists none"),
        (refusal(501), "it lists none"),
    ],
)
async def test_a_provider_that_is_well(models: bytes, words: str, database_url: str) -> None:
    async with provider(models, TOKEN) as url:
        of_models, of_answer = await told(f"{url}/v1", database_url)
    assert (of_models.well, of_answer.well) == (True, True)
    assert words in of_models.words
    assert of_answer.words == "the model begins to answer"


@pytest.mark.parametrize(
    ("models", "chat", "of_models_says", "of_answer_says"),
    [
        (refusal(401, "invalid_api_key"), refusal(401), "see OPENAI_API_KEY (status 401)", "see OPENAI_API_KEY"),
        (listed(MODEL), refusal(404, "model_not_found"), "it lists 1", "Is the model's name right"),
        (listed(MODEL), refusal(429, "insufficient_quota"), "it lists 1", "no quota or credit left"),
        (listed(MODEL), refusal(429, "rate_limit_exceeded"), "it lists 1", "limits the rate of requests (status 429)"),
        (listed(MODEL), refusal(402), "it lists 1", "and the account"),
        (PAGE, PAGE, "not a complete answer", "neither events nor JSON"),
        (answer(200, []), answer(200, {}), "not a complete answer", "without saying that it was complete"),
        (answer(200, {"data": None}), b"bye\r\n\r\n", "not a complete answer", "is not HTTP"),
        (refusal(500), refusal(500), "status 500", "status 500"),
    ],
)
async def test_what_is_wrong_with_a_provider_is_said(
    models: bytes, chat: bytes, of_models_says: str, of_answer_says: str, database_url: str
) -> None:
    async with provider(models, chat) as url:
        of_models, of_answer = await told(f"{url}/v1", database_url)
    assert of_models_says in of_models.words
    assert of_answer_says in of_answer.words
    assert not of_answer.well


@pytest.mark.parametrize("elsewhere", [refusal(404), PAGE])
async def test_a_base_url_without_v1_is_told(elsewhere: bytes, database_url: str) -> None:
    async with provider(elsewhere, elsewhere, prefix="") as url:
        _, of_answer = await told(url, database_url)
    assert not of_answer.well
    assert "OPENAI_BASE_URL of most servers ends in /v1" in of_answer.words


async def test_a_model_that_takes_long_to_begin_is_waited_for_as_long_as_the_server_would(database_url: str) -> None:
    async with provider(listed(MODEL), b"") as url:
        _, of_answer = await told(f"{url}/v1", database_url, first_piece_timeout_s=0.2)
    assert "no first piece within 0.2 s" in of_answer.words


async def test_why_it_is_not_reached_is_told(database_url: str) -> None:
    with closed_port() as closed:
        for one in await told(f"http://127.0.0.1:{closed}/v1", database_url):
            assert "connection refused" in one.words


async def test_each_provider_is_looked_at_by_its_name_and_told_by_its_settings(database_url: str) -> None:
    async with provider(listed(MODEL), TOKEN) as main, provider(listed("b", "c"), refusal(401)) as local:
        found = await found_of(
            database_url,
            openai_base_url=f"{main}/v1",
            providers=[
                {"name": "main"},
                {"name": "local", "base_url": f"{local}/v1", "api_key": KEY, "models": "b,*"},
                {"name": "idle", "base_url": f"{main}/v1", "models": "*"},
            ],
        )
    assert found["provider main's models"] == (True, "it lists 1, CHATORCH_MODEL among them")
    assert found["provider main's answer"] == (True, "the model begins to answer")
    assert found["provider local's models"] == (True, "it lists 2, CHATORCH_PROVIDER_LOCAL_MODELS among them")
    well, words = found["provider local's answer"]
    assert not well
    assert "see CHATORCH_PROVIDER_LOCAL_API_KEY" in words
    assert found["provider idle's models"] == (True, "it lists 1")
    assert found["provider idle's answer"] == (
        True,
        "nothing is asked, as CHATORCH_PROVIDER_IDLE_MODELS names no model",
    )


async def test_the_default_model_may_be_another_providers(database_url: str) -> None:
    async with provider(listed("a:b"), TOKEN) as url, provider(refusal(404), refusal(404), prefix="") as wrong:
        found = await found_of(
            database_url,
            model="local:a:b",
            allowed_models="main:x",
            openai_base_url=wrong,
            providers=[{"name": "main"}, {"name": "local", "base_url": f"{url}/v1"}],
        )
    assert found["provider local's models"] == (True, "it lists 1, CHATORCH_MODEL among them")
    assert found["provider local's answer"] == (True, "the model begins to answer")
    assert "OPENAI_BASE_URL of most servers ends in /v1" in found["provider main's answer"][1]
