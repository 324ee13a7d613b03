"""OpenAI's own Python client, unmodified, against a server of ours and a provider on loopback."""

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from tests.e2e.conftest import NewServer
from tests.support.eventually import eventually
from tests.support.server import Server
from tests.support.upstream import (
    Upstream,
    chunk,
    delta,
    done,
    error,
    finish,
    hang,
    pause,
    reset,
    status,
    text,
    usage,
)

pytestmark = pytest.mark.long  # tests/clients asks the same of the door, with this client among others

ROOT = Path(__file__).parents[2]
HI = [{"role": "user", "content": "Hi"}]


class Place(BaseModel):
    city: str


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    """Alice's, as anybody makes one; it repeats by itself as often as it does by default."""
    with OpenAI(base_url=f"{server.url}/v1", api_key=server.tokens["alice"]) as client:
        yield client


def answer(upstream: Upstream, *pieces: str) -> str:
    """A model that says this."""
    return upstream.model(text(*pieces), finish(), usage(9, 3), done())


def joined(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for one in chunks for choice in one.choices)


def test_an_answer_whole(client: OpenAI, upstream: Upstream):
    model = answer(upstream, "Hel", "lo")
    got = client.chat.completions.with_raw_response.create(model=model, messages=HI, temperature=0.5, max_tokens=7)
    completion = got.parse()
    assert completion.choices[0].message.content == "Hello"
    assert completion.choices[0].finish_reason == "stop"
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (9, 3)
    assert (completion.object, completion.model) == ("chat.completion", model)
    assert completion.id == "chatcmpl-" + got.headers["x-chatorch-run"].removeprefix("run_")
    [seen] = upstream.seen(model)
    assert seen.body["temperature"] == 0.5
    assert 7 in (seen.body.get("max_completion_tokens"), seen.body.get("max_tokens"))


def test_streamed(client: OpenAI, upstream: Upstream):
    model = answer(upstream, "Hel", "lo")
    chunks = list(client.chat.completions.create(model=model, messages=HI, stream=True))
    assert joined(chunks) == "Hello"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({one.id for one in chunks}) == 1
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model=model, messages=HI, **asked))
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 12)


def test_its_own_fold_of_the_chunks_is_the_answer(client: OpenAI, upstream: Upstream):
    model = answer(upstream, '{"city"', ': "Oslo"}')
    with client.chat.completions.stream(model=model, messages=HI, response_format=Place) as stream:
        texts = [event.delta for event in stream if event.type == "content.delta"]
        folded = stream.get_final_completion()
    assert "".join(texts) == '{"city": "Oslo"}'
    assert folded.choices[0].message.parsed == Place(city="Oslo")
    whole = client.chat.completions.parse(model=model, messages=HI, response_format=Place)
    assert whole.choices[0].message.parsed == Place(city="Oslo")
    assert {seen.body["response_format"]["type"] for seen in upstream.seen(model)} == {"json_schema"}


def test_what_it_was_told_can_be_told_back_with_what_comes_next(client: OpenAI, upstream: Upstream):
    model = upstream.model(
        [chunk(delta(reasoning_content="Hm")), text("Hello"), finish(), usage(), done()],
        [text("Again"), finish(), usage(), done()],
    )
    history: list = [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, *HI]
    first = client.chat.completions.create(model=model, messages=history).choices[0].message
    assert first.reasoning_content == "Hm"
    second = client.chat.completions.create(model=model, messages=[*history, first, *HI])
    assert second.choices[0].message.content == "Again"
    [_, seen] = upstream.seen(model)
    assert [(one["role"], one["content"]) for one in seen.body["messages"]] == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Hi"),
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_refuses_before_it_says_anything_is_an_error_with_a_status(
    client: OpenAI, upstream: Upstream, stream: bool
):
    model = upstream.model(status(401))
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=model, messages=HI, stream=stream)
    failed = caught.value
    assert (failed.status_code, failed.code, failed.type) == (502, "upstream_auth", "server_error")
    assert failed.response.headers["x-chatorch-run"].startswith("run_")
    assert len(upstream.seen(model)) == 1, "asked again in vain"


def test_a_provider_that_fails_is_asked_again_by_us_and_not_by_the_client_too(client: OpenAI, upstream: Upstream):
    model = upstream.model(status(500, {"retry-after-ms": "1"}))
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=model, messages=HI, stream=True)
    assert caught.value.code == "upstream_error"
    assert len(upstream.seen(model)) == 3


@pytest.mark.parametrize("broken", [[reset()], [error("It broke.")]])
def test_one_that_fails_in_mid_answer_is_an_error_behind_the_text_that_came(
    client: OpenAI, upstream: Upstream, broken: list
):
    model = upstream.model([text("Hel"), *broken])
    chunks = []
    with pytest.raises(openai.APIError) as caught:
        chunks.extend(client.chat.completions.create(model=model, messages=HI, stream=True))
    assert caught.value.code in {"upstream_error", "upstream_invalid", "upstream_unavailable"}
    assert caught.value.message
    assert len(upstream.seen(model)) == 1


def test_a_provider_that_takes_its_time_is_streamed_before_it_has_said_anything(client: OpenAI, upstream: Upstream):
    """And one that then fails is the error of a stream that has begun."""
    model = upstream.model([pause("openai-thinks"), text("Hi"), reset()])
    with client.chat.completions.create(model=model, messages=HI, stream=True) as stream:
        assert next(stream).choices[0].delta.role == "assistant"
        upstream.release("openai-thinks")
        with pytest.raises(openai.APIError, match="provider"):
            list(stream)


def test_who_leaves_leaves_the_run_which_goes_on_and_can_be_read(client: OpenAI, server: Server, upstream: Upstream):
    model = upstream.model([text("Hel"), pause("openai-left"), text("lo"), finish(), usage(), done()])
    got = client.chat.completions.with_raw_response.create(model=model, messages=HI, stream=True)
    run_id = got.headers["x-chatorch-run"]
    with got.parse() as stream:
        next(stream)
    upstream.release("openai-left")
    run = asyncio.run(ended(server, run_id))
    assert (run["status"], run["text"]) == ("completed", "Hello")


async def ended(server: Server, run_id: str) -> dict:
    async with await server.client() as alice:

        async def look() -> dict | None:
            run = (await alice.get(f"/api/runs/{run_id}")).json()
            return run if run["finished_at"] else None

        return await eventually(look)


def test_async_and_many_at_once(server: Server, upstream: Upstream):
    model = answer(upstream, *(f" tok{n}" for n in range(50)))

    async def ask() -> set[str]:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key=server.tokens["alice"]) as client:

            async def one() -> str:
                stream = await client.chat.completions.create(model=model, messages=HI, stream=True)
                return joined([chunk async for chunk in stream])

            return set(await asyncio.gather(*(one() for _ in range(20))))

    assert asyncio.run(ask()) == {"".join(f" tok{n}" for n in range(50))}


def test_a_server_that_is_killed_in_mid_answer_is_a_broken_connection(new_server: NewServer, upstream: Upstream):
    """The client says so; what was said is stored."""
    server = asyncio.run(new_server())
    asyncio.run(server.start())
    model = upstream.model(text("Hel"), hang())
    with OpenAI(base_url=f"{server.url}/v1", api_key=server.tokens["alice"]) as client:
        stream = client.chat.completions.create(model=model, messages=HI, stream=True)
        assert joined([next(stream), next(stream)]) == "Hel"
        asyncio.run(server.kill())
        with pytest.raises(openai.APIConnectionError):
            list(stream)


def test_what_the_document_shows_does_what_it_says(server: Server, upstream: Upstream, capsys: pytest.CaptureFixture):
    model = answer(upstream, "Hel", "lo")
    page = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    section = page.partition("\n## OpenAI\n")[2].partition("\n## ")[0]
    section = section.replace("http://127.0.0.1:8000", server.url).replace("gpt-5.4-mini", model)
    python, *_ = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    exec(python, {"TOKEN": server.tokens["alice"]})
    assert capsys.readouterr().out == "Hello"
    shell, *_ = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    environment = {**os.environ, "TOKEN": server.tokens["alice"]}
    said = subprocess.run(["sh", "-ec", shell], env=environment, capture_output=True, text=True, timeout=30, check=True)
    assert [line for line in said.stdout.splitlines() if line][-1] == "data: [DONE]"
    assert "".join(re.findall(r'"content":"(\w*)"', said.stdout)) == "Hello"


async def test_a_server_that_stops_is_an_error_after_which_the_client_asks_the_next_one(
    new_server: NewServer, upstream: Upstream
):
    server = await new_server(drain_limit_s=0.2)
    await server.start()
    model = upstream.model(text("Hel"), pause("openai-stops"))
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key=server.tokens["alice"], max_retries=0) as client:
        whole = asyncio.ensure_future(client.chat.completions.create(model=model, messages=HI))
        stream = await client.chat.completions.create(model=model, messages=HI, stream=True)
        await upstream.until(model, "paused", 2)
        await server.stop()
        with pytest.raises(openai.APIError) as broken_off:
            await anext(chunk async for chunk in stream if chunk.choices[0].finish_reason)
        with pytest.raises(openai.APIStatusError) as refused:
            await whole
    assert broken_off.value.code == refused.value.code == "run_cancelled"
    assert refused.value.response.headers["x-should-retry"] == "true"
