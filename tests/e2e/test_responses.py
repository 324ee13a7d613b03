"""OpenAI's Responses by its own library, unmodified, against a real server."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from tests.e2e.conftest import NewServer, ServerIn, TwoWorkers
from tests.support.accounts import sign_up
from tests.support.eventually import eventually
from tests.support.server import Server, serving
from tests.support.upstream import Script, Upstream, done, error, finish, pause, status, text, usage
from tests.support.upstream_parts import calls, cites, thinks

ROOT = Path(__file__).parents[2]
HI = [{"role": "user", "content": "Hi"}]
SAID = "Hello there, world"


def plain(*names: str) -> Script:
    """With a pause in the text, where it has a name."""
    return [text("Hello the"), *map(pause, names), text("re, world"), finish(), usage(), done()]


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(server) as client:
        yield client


def client_of(server: Server, username: str = "alice") -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{server.url}/v1", api_key=server.tokens[username])


async def events_of(stream: AsyncIterator[Any]) -> list[dict[str, Any]]:
    return [event.to_dict() async for event in stream]


async def test_an_answer_whole(client: AsyncOpenAI, upstream: Upstream):
    model = upstream.model(plain())
    response = await client.responses.create(
        model=model, input="Hi", instructions="In verse.", metadata={"a": "b"}, temperature=0.5
    )
    assert (response.status, response.output_text, response.model) == ("completed", SAID, model)
    assert (response.usage.input_tokens, response.usage.output_tokens) == (9, 3)
    assert (response.instructions, response.metadata, response.temperature) == ("In verse.", {"a": "b"}, 0.5)
    [asked] = upstream.seen(model)
    assert [(said["role"], said["content"]) for said in asked.body["messages"]][-2:] == [
        ("system", "In verse."),
        ("user", "Hi"),
    ]
    assert asked.body["temperature"] == 0.5
    again = (await client.responses.retrieve(response.id)).to_dict()
    answered = response.to_dict() | {"completed_at": again["completed_at"]}  # read a moment later, of another second
    assert again == answered


async def test_a_stream_that_is_cut_anywhere_goes_on_with_the_same_events(client: AsyncOpenAI, upstream: Upstream):
    model = upstream.model(
        [
            *thinks("Hm, ", "so it is"),
            *plain()[:-3],
            *calls("find", "{}"),
            cites("https://x.example", "X"),
            finish(),
            usage(),
            done(),
        ]
    )
    whole = await events_of(await client.responses.create(model=model, input="Hi", stream=True))
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    assert whole[-1]["type"] == "response.completed"
    response_id = whole[0]["response"]["id"]
    for after in range(len(whole)):
        rest = await client.responses.retrieve(response_id, stream=True, starting_after=after)
        assert await events_of(rest) == whole[after + 1 :]
    assert await events_of(await client.responses.retrieve(response_id, stream=True)) == whole


async def test_the_librarys_own_stream_and_its_own_way_back(client: AsyncOpenAI, upstream: Upstream):
    model = upstream.model(plain("responses-back"))
    async with client.responses.stream(model=model, input="Hi", background=True) as stream:
        heard = ""
        async for event in stream:
            if event.type == "response.created":
                response_id = event.response.id
            if event.type == "response.output_text.delta":
                heard += event.delta
                last = event.sequence_number
                break
    assert heard == "Hello "
    upstream.release("responses-back")
    async with client.responses.stream(response_id=response_id, starting_after=last) as stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                heard += event.delta
        assert (await stream.get_final_response()).output_text == heard == SAID


async def test_what_goes_on_in_the_background_is_polled_and_cancelled(client: AsyncOpenAI, upstream: Upstream):
    model = upstream.model(plain("responses-polled"), [text("Hel"), pause("never"), text("lo")])
    response = await client.responses.create(model=model, input="Hi", background=True)
    assert (response.status, response.background) == ("queued", True)
    await upstream.until(model, "paused")

    async def there() -> bool:
        now = await client.responses.retrieve(response.id)
        return (now.status, now.output_text) == ("in_progress", "Hello the")

    await eventually(there)
    upstream.release("responses-polled")

    async def completed() -> bool:
        return (await client.responses.retrieve(response.id)).status == "completed"

    await eventually(completed)
    second = await client.responses.create(model=model, input="Again", background=True)

    async def has_begun() -> bool:
        return (await client.responses.retrieve(second.id)).output_text == "Hel"

    await eventually(has_begun)
    stopped = await client.responses.cancel(second.id)
    assert (stopped.status, stopped.output_text) == ("cancelled", "Hel")
    assert (await client.responses.cancel(second.id)).status == "cancelled"
    assert (await events_of(await client.responses.retrieve(second.id, stream=True)))[-1]["response"][
        "status"
    ] == "cancelled"


async def test_a_conversation_goes_on_from_the_newest_response(client: AsyncOpenAI, upstream: Upstream):
    model = upstream.model(plain())
    first = await client.responses.create(model=model, input="One", instructions="In verse.")
    second = await client.responses.create(model=model, input="Two", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert second.conversation.id == first.conversation.id
    said = [message["content"] for message in upstream.seen(model)[-1].body["messages"]]
    assert said == ["One", SAID, "Two"]
    with pytest.raises(openai.BadRequestError, match=second.id) as refused:
        await client.responses.create(model=model, input="Other", previous_response_id=first.id)
    assert refused.value.param == "previous_response_id"
    rules = [*HI, {"role": "developer", "content": "In prose."}, *HI]
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(model=model, input=rules, previous_response_id=second.id)
    assert refused.value.param == "input[1].role"
    third = await client.responses.create(model=model, input="Three", conversation=first.conversation.id)
    assert third.conversation.id == first.conversation.id
    items = [item async for item in client.responses.input_items.list(third.id, limit=2)]
    assert [item.content[0].text for item in items] == ["Three", SAID, "Two", SAID, "One"]
    assert [item.id async for item in client.responses.input_items.list(third.id, order="asc")] == [
        item.id for item in reversed(items)
    ]


async def test_who_repeats_what_failed_is_answered_in_its_place(client: AsyncOpenAI, upstream: Upstream):
    model = upstream.model(plain(), [text("Hel"), error()], [text("Hel"), error()], plain())
    first = await client.responses.create(model=model, input="One")
    for calls_made in (2, 3):
        with pytest.raises(openai.InternalServerError):
            await client.responses.create(model=model, input="Two", previous_response_id=first.id)
        assert len(upstream.seen(model)) == calls_made  # the library does not repeat it by itself
    await client.responses.create(model=model, input="Two", previous_response_id=first.id)
    said = [message["content"] for message in upstream.seen(model)[-1].body["messages"]]
    assert said == ["One", SAID, "Two"]


async def test_a_provider_that_fails_is_a_response_that_failed(client: AsyncOpenAI, upstream: Upstream):
    events = await events_of(
        await client.responses.create(model=upstream.model([status(401)]), input="Hi", stream=True)
    )
    assert [event["type"] for event in events] == ["response.created", "response.in_progress", "response.failed"]
    told = events[-1]["response"]["error"]
    assert (told["code"], told["type"]) == ("server_error", "upstream_auth")
    assert (await client.responses.retrieve(events[0]["response"]["id"])).error.to_dict() == told


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"truncation": "disabled"}, "truncation"),
        ({"top_p": 0.5}, "top_p"),
        ({"reasoning": {"summary": "detailed"}}, "reasoning.summary"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"extra_body": {"frobnicate": 1}}, "frobnicate"),
        ({"background": True, "store": False}, "background"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "input[0].content[0].type",
        ),
        ({"input": [{"type": "function_call_output", "call_id": "x", "output": "y"}]}, "input[0].call_id"),
        ({"input": [{"role": "user", "content": "Hi"}, {"role": "user", "content": " "}]}, "input[1].content"),
        ({"input": [{"role": "assistant", "content": "Hi"}]}, "input"),
        ({"input": ""}, "input"),
        ({"conversation": {"id": 5}}, "conversation"),
        ({"background": True, "tool_choice": "required"}, "tool_choice"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_its_name(client: AsyncOpenAI, parameters: dict[str, Any], param: str):
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(**{"model": "any", "input": "Hi", **parameters})
    assert refused.value.param == param


async def test_json_is_asked_for_as_completions_have_it(client: AsyncOpenAI, upstream: Upstream):
    model = upstream.model([text('{"a": 1}'), finish(), done()])
    form = {"type": "json_schema", "name": "thing", "schema": {"type": "object"}, "strict": True}
    response = await client.responses.create(model=model, input="Hi", text={"format": form}, max_output_tokens=99)
    asked = upstream.seen(model)[0].body
    assert asked["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "thing", "schema": {"type": "object"}, "strict": True},
    }
    assert response.to_dict()["text"]["format"] == form
    assert response.max_output_tokens == 99


async def test_what_is_deleted_is_gone_and_what_is_anothers_is_not_there(
    client: AsyncOpenAI, server: Server, upstream: Upstream
):
    model = upstream.model(plain())
    first = await client.responses.create(model=model, input="One")
    await sign_up(server, "bob")
    async with client_of(server, "bob") as bob:
        for what in (
            bob.responses.retrieve(first.id),
            bob.responses.cancel(first.id),
            bob.responses.delete(first.id),
            bob.responses.input_items.list(first.id),
            bob.responses.create(model=model, input="Two", conversation=first.conversation.id),
        ):
            with pytest.raises(openai.NotFoundError):
                await what
        with pytest.raises(openai.BadRequestError) as named:
            await bob.responses.create(model=model, input="Two", previous_response_id=first.id)
        assert named.value.param == "previous_response_id"
    second = await client.responses.create(model=model, input="Two", previous_response_id=first.id)
    await client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(second.id)
    assert (await client.responses.retrieve(first.id)).output_text == SAID
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        await client.responses.create(model=model, input="Three", previous_response_id=second.id)
    await client.responses.delete(first.id)
    for gone in (client.responses.retrieve(first.id), client.responses.retrieve("resp_none")):
        with pytest.raises(openai.NotFoundError):
            await gone


async def test_a_server_that_starts_again_tells_the_same_numbers(new_server: NewServer, upstream: Upstream):
    server = await new_server(continue_within_s=0)
    await server.start()
    try:
        model = upstream.model(plain(), [text("Hello there, wor"), pause("responses-killed")])
        async with client_of(server) as client:
            whole = await events_of(await client.responses.create(model=model, input="Hi", stream=True))
            heard: list[dict[str, Any]] = []
            with suppress(httpx2.HTTPError, openai.APIConnectionError):
                async for event in await client.responses.create(model=model, input="Hi", stream=True):
                    heard.append(event.to_dict())
                    if event.type == "response.output_text.delta" and event.delta == "there, ":
                        await server.kill()
            assert heard[-1]["delta"] == "there, "
            await server.start()
            assert await events_of(await client.responses.retrieve(whole[0]["response"]["id"], stream=True)) == whole
            killed, last = heard[0]["response"]["id"], heard[-1]["sequence_number"]
            rest = await events_of(await client.responses.retrieve(killed, stream=True, starting_after=last))
            assert rest[-1]["type"] == "response.failed"
            assert rest[-1]["response"]["error"]["type"] == "run_interrupted"
            assert [event["sequence_number"] for event in rest] == list(range(last + 1, last + 1 + len(rest)))
    finally:
        await server.stop()


def test_what_the_document_shows_does_what_it_says(server: Server, upstream: Upstream, capsys: pytest.CaptureFixture):
    model = upstream.model(plain())
    page = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    section = page.partition("\n### Responses and Conversations\n")[2].partition("\n## ")[0]
    section = section.replace("http://127.0.0.1:8000", server.url).replace("gpt-5.4-mini", model)
    [python, _] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    exec(python, {"TOKEN": server.tokens["alice"]})
    assert capsys.readouterr().out == SAID
    assert [message["content"] for message in upstream.seen(model)[-1].body["messages"]] == ["Hello", SAID, "Go on"]


async def test_a_key_that_is_used_again_joins_its_response(client: AsyncOpenAI, upstream: Upstream):
    model = upstream.model(plain(), [text("Hel"), error()], plain())
    first = await client.responses.create(model=model, input="One")
    key = {"Idempotency-Key": "responses-1"}
    asked = {"model": model, "input": "Two", "previous_response_id": first.id}
    with pytest.raises(openai.InternalServerError):
        await client.responses.create(**asked)
    second = await client.responses.create(**asked, extra_headers=key)
    again = await client.responses.create(**asked, extra_headers=key)
    assert again.id == second.id
    assert len(upstream.seen(model)) == 3


async def test_what_is_not_stored_is_not_listed_and_can_be_gone_back_to(
    client: AsyncOpenAI, server: Server, upstream: Upstream
):
    model = upstream.model(plain())
    stream = await client.responses.create(model=model, input="Hi", store=False, stream=True)
    events = await events_of(stream)
    response = events[-1]["response"]
    assert (response["store"], response["conversation"]) == (False, None)
    assert await events_of(await client.responses.retrieve(response["id"], stream=True)) == events
    async with await server.client() as alice:
        listed = (await alice.get("/api/threads?limit=100")).json()["data"]
        run = (await alice.get(f"/api/runs/{response['id'].replace('resp_', 'run_')}")).json()
        assert run["text"] == SAID
        with pytest.raises(openai.NotFoundError, match="not stored"):
            await client.responses.create(model=model, input="More", previous_response_id=response["id"])
        assert run["thread_id"] not in {thread["id"] for thread in listed}


async def test_who_leaves_leaves_the_run_and_all_who_follow_it_hear_the_same(client: AsyncOpenAI, upstream: Upstream):
    model = upstream.model([*thinks("Hm, ", "well"), *plain("responses-shared")])
    begun = await client.responses.create(model=model, input="Hi", stream=True)
    first = await anext(begun)
    await begun.close()
    response_id = first.response.id
    streams = [await client.responses.retrieve(response_id, stream=True, starting_after=n) for n in (-1, 0, 3, 5)]
    following = [asyncio.ensure_future(events_of(stream)) for stream in streams]
    await upstream.until(model, "paused")
    upstream.release("responses-shared")
    whole, *rests = await asyncio.gather(*following)
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    assert rests == [whole[n + 1 :] for n in (0, 3, 5)]


async def test_a_guest_is_answered_once(server_in: ServerIn, tmp_path: Path, upstream: Upstream):
    async with serving(server_in(tmp_path, anonymous_chat="true")) as server:
        model = upstream.model(plain())
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="x") as guest:
            nobody = {"extra_headers": {"Authorization": openai.Omit()}}
            response = await guest.responses.create(model=model, input="Hi", **nobody)
            assert response.output_text == SAID
            with pytest.raises(openai.PermissionDeniedError):
                await guest.responses.create(model=model, input="Hi", previous_response_id=response.id, **nobody)
            with pytest.raises(openai.BadRequestError, match="sign in"):
                await guest.responses.create(model=model, input="Hi", background=True, **nobody)
            with pytest.raises(openai.AuthenticationError):
                await guest.responses.create(model=model, input="Hi")


@pytest.mark.long
async def test_another_worker_tells_the_same_numbers_live_and_when_the_first_one_dies(
    two_workers: TwoWorkers, upstream: Upstream
):
    model = upstream.model(plain("responses-elsewhere"), [text("Hello there, wor"), pause("responses-dead")])
    async with (
        two_workers(lease_s=2, continue_within_s=0) as (one, two),
        client_of(one.server) as here,
        client_of(two.server) as there,
    ):
        begun = await here.responses.create(model=model, input="Hi", stream=True)
        first = await anext(begun)
        beside = asyncio.ensure_future(
            events_of(await there.responses.retrieve(first.response.id, stream=True, starting_after=0))
        )
        await upstream.until(model, "paused")
        upstream.release("responses-elsewhere")
        assert await events_of(begun) == await beside
        killed = await here.responses.create(model=model, input="Hi", background=True)
        heard = []
        async for event in await there.responses.retrieve(killed.id, stream=True):
            heard.append(event.to_dict())
            if event.type == "response.output_text.delta" and event.delta == "there, ":
                await one.server.kill()
        assert [event["sequence_number"] for event in heard] == list(range(len(heard)))
        assert heard[-1]["response"]["error"]["type"] == "run_interrupted"
