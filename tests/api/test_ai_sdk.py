"""The AI SDK's door: its requests as its transports send them, its streams and errors as its clients read them."""

import asyncio
from typing import Any

import httpx
import pytest

from chatorch.domain.model.upstream_errors import UpstreamError
from tests.support.api import Api, Apis, ask, done
from tests.support.api import refused as refused_so
from tests.support.fakes import Pause
from tests.support.ui_message import UiMessage, chunks

DOOR = "/api/ai-sdk"


def user(text: str, id_: str = "u1", **members: Any) -> dict[str, Any]:
    return {"id": id_, "role": "user", "parts": [{"type": "text", "text": text}], **members}


def body(*messages: dict[str, Any], chat: str = "chat", **members: Any) -> dict[str, Any]:
    return {"id": chat, "messages": list(messages), "trigger": "submit-message", **members}


async def send(client: httpx.AsyncClient, *messages: dict[str, Any], v: int = 7, **members: Any) -> UiMessage:
    answer = await client.post(DOOR, params={"v": v}, json=body(*messages, **members))
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    return UiMessage(v).take(answer.content)


def text_of(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


async def shown(client: httpx.AsyncClient, chat: str = "chat", **params: Any) -> list[dict[str, Any]]:
    answer = await client.get(f"{DOOR}/{chat}/messages", params=params)
    assert answer.status_code == 200, answer.text
    messages: list[dict[str, Any]] = answer.json()["data"]
    return messages


async def texts(client: httpx.AsyncClient, chat: str = "chat") -> list[tuple[str, str]]:
    return [(message["id"], text_of(message)) for message in await shown(client, chat)]


async def refused(client: httpx.AsyncClient, status: int, *messages: dict[str, Any], **members: Any) -> str:
    answer = await client.post(DOOR, json=body(*messages, **members))
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8"), answer.text
    return answer.text


async def test_a_chat_is_one_thread_by_its_clients_id(alice: httpx.AsyncClient, api: Api):
    first = await send(alice, user("one"))
    assert (first.parts[1]["text"], (first.end or {})["finishReason"]) == ("Hello world", "stop")
    second = await send(alice, user("one"), {"id": first.id, "role": "assistant", "parts": []}, user("two", "u2"))
    assert [message.content for message in api.model.calls[1].prompt.messages] == ["one", "Hello world", "two"]
    assert [id_ for id_, _ in await texts(alice)] == ["u1", first.id, "u2", second.id]
    [thread] = (await alice.get("/api/threads")).json()["data"]
    assert thread["client_ref"] == "chat"
    assert first.metadata["thread_id"] == thread["id"]
    run = (await alice.get(f"/api/runs/{first.metadata['run_id']}")).json()
    assert (run["message_id"], run["status"]) == (first.id, "completed")


async def test_what_is_stored_is_what_was_streamed(alice: httpx.AsyncClient):
    told = await send(alice, user("Hi", metadata={"mood": "good"}))
    asked, answer = await shown(alice)
    assert asked == {**user("Hi"), "metadata": {"mood": "good"}}
    assert (answer["id"], answer["parts"]) == (told.id, told.parts)
    assert answer["metadata"]["run_id"] == told.metadata["run_id"]


async def test_the_last_message_alone_is_enough(alice: httpx.AsyncClient):
    for number in ("1", "2"):
        answer = await alice.post(DOOR, json={"id": "chat", "message": user(number, f"u{number}")})
        assert answer.status_code == 200
    assert [text for _, text in await texts(alice)] == ["1", "Hello world", "2", "Hello world"]


async def test_a_regenerated_answer_takes_the_place_of_the_earlier_one(alice: httpx.AsyncClient, api: Api):
    first = await send(alice, user("one"))
    await send(alice, user("two", "u2"))
    api.model.then("Better")
    again = await send(alice, user("one"), trigger="regenerate-message", messageId=first.id)
    assert await texts(alice) == [("u1", "one"), (again.id, "Better")]
    assert again.id != first.id
    api.model.then("Best")
    once_more = await send(alice, user("one"), trigger="regenerate-message")
    assert await texts(alice) == [("u1", "one"), (once_more.id, "Best")]


async def test_an_edited_message_takes_the_place_of_the_earlier_one(alice: httpx.AsyncClient):
    await send(alice, user("one"))
    await send(alice, user("two", "u2"))
    edited = await send(alice, user("uno"), messageId="u1")
    assert await texts(alice) == [("u1", "uno"), (edited.id, "Hello world")]
    renamed = await send(alice, user("eins", "u3"), messageId="u1")
    assert await texts(alice) == [("u3", "eins"), (renamed.id, "Hello world")]
    again = await send(alice, user("eins", "u3"), messageId="u3")  # as it was: answered once more
    assert await texts(alice) == [("u3", "eins"), (again.id, "Hello world")]


@pytest.mark.parametrize("members", [{"messageId": "u1"}, {"trigger": "regenerate-message"}])
async def test_what_never_came_to_be_stored_is_new(alice: httpx.AsyncClient, members: dict[str, str]):
    await send(alice, user("one", "u0"))
    answer = await send(alice, user("two"), **members)
    assert (await texts(alice))[2:] == [("u1", "two"), (answer.id, "Hello world")]
    fresh = await send(alice, user("two"), chat="another", **members)
    assert await texts(alice, "another") == [("u1", "two"), (fresh.id, "Hello world")]


async def test_an_earlier_message_is_found_far_back(alice: httpx.AsyncClient):
    thread = await ask(alice, *(str(number) for number in range(150)), client_ref="chat")
    [oldest, *_] = await shown(alice, limit=100, after=(await alice.get(f"{DOOR}/chat/messages")).json()["after"])
    assert text_of(oldest) == "0"
    await send(alice, user("nought", oldest["id"]), messageId=oldest["id"])
    assert [text for _, text in await texts(alice)] == ["nought", "Hello world"]
    assert thread["thread_id"]


async def test_history_comes_in_pages_from_its_end(alice: httpx.AsyncClient):
    for number in range(3):
        await send(alice, user(str(number), f"u{number}"))
    page = (await alice.get(f"{DOOR}/chat/messages", params={"limit": 4})).json()
    assert [text_of(message) for message in page["data"]] == ["1", "Hello world", "2", "Hello world"]
    earlier = (await alice.get(f"{DOOR}/chat/messages", params={"limit": 4, "after": page["after"]})).json()
    assert ([text_of(message) for message in earlier["data"]], earlier["has_more"]) == (["0", "Hello world"], False)


async def test_a_thread_begun_elsewhere_is_a_chat_by_our_id(alice: httpx.AsyncClient, bob: httpx.AsyncClient):
    thread_id = (await ask(alice, "one"))["thread_id"]
    assert [text for _, text in await texts(alice, thread_id)] == ["one", "Hello world"]
    await send(alice, user("two"), chat=thread_id)
    assert len(await shown(alice, thread_id)) == 4
    question = (await shown(alice, thread_id))[0]
    await send(alice, user("uno", question["id"]), chat=thread_id, messageId=question["id"])
    assert [text for _, text in await texts(alice, thread_id)] == ["uno", "Hello world"]
    await refused(bob, 404, user("mine?"), chat=thread_id)
    for way in (bob.get(f"{DOOR}/{thread_id}/stream"), bob.post(f"{DOOR}/{thread_id}/stop")):
        assert (await way).status_code == 404


async def test_another_users_chat_of_the_same_id_is_another(alice: httpx.AsyncClient, bob: httpx.AsyncClient):
    await send(alice, user("one"))
    answer = await bob.get(f"{DOOR}/chat/messages")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    await send(bob, user("two"))
    assert [text for _, text in await texts(bob)] == ["two", "Hello world"]
    assert [text for _, text in await texts(alice)] == ["one", "Hello world"]


@pytest.mark.parametrize("chat", ["a/b", "a/stream", "é ☂?#", ".hidden", "%2F", "x" * 255])
async def test_an_id_may_have_any_characters(alice: httpx.AsyncClient, chat: str):
    await send(alice, user("one"), chat=chat)
    path = f"{DOOR}/{httpx.QueryParams({'x': chat})['x'] and _encoded(chat)}"
    assert (await alice.get(f"{path}/stream")).status_code == 204
    assert (await alice.post(f"{path}/stop")).status_code == 202
    assert len((await alice.get(f"{path}/messages")).json()["data"]) == 2


def _encoded(chat: str) -> str:
    return "".join(f"%{byte:02X}" for byte in chat.encode())


@pytest.mark.parametrize("path", ["%ff", "nothing"])
async def test_what_is_no_chat_has_nothing_live_and_no_history(alice: httpx.AsyncClient, path: str):
    assert (await alice.get(f"{DOOR}/{path}/stream")).status_code == 204
    for answer in (await alice.post(f"{DOOR}/{path}/stop"), await alice.get(f"{DOOR}/{path}/messages")):
        refused_so(answer, 404, "not_found")


async def test_who_comes_back_hears_it_from_its_start_and_who_stops_it_ends_it(api: Api, alice: httpx.AsyncClient):
    pause = Pause()
    api.model.then("Hel", pause, "lo")
    asking = asyncio.ensure_future(alice.post(DOOR, json=body(user("Hi"))))
    await pause.reached()
    assert [text for _, text in await texts(alice)] == ["Hi"]  # what is being said comes with the stream
    back = asyncio.ensure_future(alice.get(f"{DOOR}/chat/stream"))
    await alice.post(f"{DOOR}/chat/stop")
    first, second = await done(asking), await done(back)
    assert first.content == second.content
    message = UiMessage().take(second.content)
    assert (text_of({"parts": message.parts}), message.end) == ("Hel", {"type": "abort", "reason": "user"})
    assert (await alice.get(f"{DOOR}/chat/stream")).status_code == 204
    assert [text for _, text in await texts(alice)] == ["Hi", "Hel"]


async def test_a_thread_that_somebody_follows_is_busy(api: Api, alice: httpx.AsyncClient):
    pause = Pause()
    api.model.then(pause)
    asking = asyncio.ensure_future(alice.post(DOOR, json=body(user("Hi"))))
    await pause.reached()
    assert "live run" in await refused(alice, 409, user("And?", "u2"))
    pause.go_on()
    await done(asking)
    await send(alice, user("And?", "u2"))


@pytest.mark.parametrize("v", [6, 7])
async def test_a_provider_that_fails_is_the_clients_error(api: Api, alice: httpx.AsyncClient, v: int):
    api.model.then("Hel", UpstreamError("It broke."))
    message = await send(alice, user("Hi"), v=v)
    assert message.error
    assert text_of({"parts": message.parts}) == "Hel"
    assert [text for _, text in await texts(alice)] == ["Hi", "Hel"]


@pytest.mark.parametrize("members", [{}, {"messageId": "u1"}, {"trigger": "regenerate-message"}])
async def test_one_idempotency_key_is_one_run(api: Api, alice: httpx.AsyncClient, members: dict[str, str]):
    await send(alice, user("Hello?"))
    once, other = body(user("Hi"), **members), body(user("Hi?"), **members)
    key = {"Idempotency-Key": "once"}
    first, second, third = [await alice.post(DOOR, json=asked, headers=key) for asked in (once, once, other)]
    assert chunks(first.content)[0] == chunks(second.content)[0]
    assert (first.status_code, len(api.model.calls)) == (200, 2)
    assert third.status_code == 422


async def test_an_answer_once_more_is_generated_as_it_was_or_as_is_asked(apis: Apis):
    api = await apis.start(allowed_models="other")
    alice = await api.user("alice")
    await send(alice, user("Hi"), model="other", temperature=0.5)
    await send(alice, user("Hi"), trigger="regenerate-message")
    await send(alice, user("Hi"), trigger="regenerate-message", model="a-model", temperature=1)
    told = [(call.prompt.model, call.prompt.generation.temperature) for call in api.model.calls]
    assert told == [("other", 0.5), ("other", 0.5), ("a-model", 1)]
    assert "model" in await refused(alice, 422, user("Hi"), trigger="regenerate-message", model="a-third")


async def test_how_it_is_generated_is_said_beside_the_messages(api: Api, alice: httpx.AsyncClient):
    await send(alice, user("Hi"), temperature=0.5, max_output_tokens=9)
    prompt = api.model.calls[0].prompt
    assert (prompt.generation.temperature, prompt.generation.max_output_tokens) == (0.5, 9)
    assert "model" in await refused(alice, 422, user("Hi"), model="another")


ASSISTANT = {"id": "a1", "role": "assistant", "parts": [{"type": "text", "text": "Hello"}]}


@pytest.mark.parametrize(
    ("messages", "members", "named"),
    [
        ([user("Hi")], {"id": ""}, "id"),
        ([user("Hi")], {"id": "a\nb"}, "id"),
        ([user("Hi")], {"id": "x" * 256}, "id"),
        ([], {}, "messages"),
        ([user("Hi"), ASSISTANT], {}, "results of tools"),
        ([ASSISTANT], {"trigger": "regenerate-message"}, "messages"),
        ([user(" ")], {}, "blank"),
        ([user("Hi", "")], {}, "messages.0.id"),
        ([{"role": "user", "content": "Hi"}], {}, "messages.0.parts"),
        ([{"role": "user", "parts": [{"type": "text"}]}], {}, "messages.0.parts.0.text"),
        ([{"role": "user", "parts": [{"type": "file", "url": "data:,x"}]}], {}, "messages.0.parts.0"),
        ([user("Hi", metadata={"x": "y" * 20_000})], {}, "messages.0.metadata"),
        ([user("Hi")], {"tools": {"find it": {"parameters": {}}}}, "tools.0.function.name"),
        ([user("Hi")], {"system": "Be brief."}, "system"),
        ([user("Hi")], {"trigger": "resume-stream"}, "trigger"),
        ([user("Hi")], {"colour": "red"}, "colour: is no field"),
    ],
)
async def test_what_cannot_be_done_is_named(
    alice: httpx.AsyncClient, messages: list[dict[str, Any]], members: dict[str, Any], named: str
):
    answer = await alice.post(DOOR, json={**body(*messages), **members})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "text/plain; charset=utf-8"), answer.text
    assert named in answer.text
    assert (await alice.get("/api/threads")).json()["data"] == []


async def test_the_same_message_that_comes_twice_is_said_and_answered_once(api: Api, alice: httpx.AsyncClient):
    """As browsers repeat a request whose connection broke before its answer came."""
    first = await send(alice, user("Hi"))
    assert (await send(alice, user("Hi"))).id == first.id
    other = await send(alice, user("Hi", "u2"))
    again = await send(alice, user("Hi", "u2"), trigger="regenerate-message")
    assert len({first.id, other.id, again.id}) == len(api.model.calls) == 3


async def test_what_transports_send_always_and_mean_nothing_by_is_none(alice: httpx.AsyncClient):
    await send(alice, user("Hi"), tools={}, system="", config=None, callSettings={}, metadata=None, messageId=None)
    assert (await alice.post(DOOR, params={"v": "5"}, json=body(user("Hi")))).status_code == 422


async def test_errors_are_texts_that_the_client_shows(api: Api, apis: Apis):
    assert await refused(api.anonymous(), 401, user("Hi")) == "Authentication is required."
    crowded = await apis.start(max_live_runs_per_user=1)
    alice, pause = await crowded.user("alice"), Pause()
    crowded.model.then(pause)
    asking = asyncio.ensure_future(alice.post(DOOR, json=body(user("Hi"))))
    await pause.reached()
    full = await alice.post(DOOR, json=body(user("Hi"), chat="another"))
    assert (full.status_code, full.headers["content-type"]) == (429, "text/plain; charset=utf-8")
    assert int(full.headers["retry-after"]) > 0
    assert "{" not in full.text
    pause.go_on()
    await done(asking)


async def test_a_guest_has_one_turn_each_time(apis: Apis):
    api = await apis.start(anonymous_chat=True)
    guest = api.anonymous()
    for number in ("1", "2"):
        await send(guest, user(number, f"u{number}"))
    await send(guest, user("2", "u2"), trigger="regenerate-message")
    assert [len(call.prompt.messages) for call in api.model.calls] == [1, 1, 1]
    assert (await guest.get(f"{DOOR}/chat/stream")).status_code == 204  # what `resume` asks at first
    assert (await guest.get(f"{DOOR}/chat/messages")).status_code == 401


async def test_a_page_of_another_origin_may_use_it(apis: Apis):
    api = await apis.start(cors_origins="https://app.example")
    alice = await api.user("alice")
    alice.headers["Origin"] = "https://app.example"
    answer = await alice.post(DOOR, json=body(user("Hi")))
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "x-vercel-ai-ui-message-stream" in answer.headers["access-control-expose-headers"].lower()


async def test_a_door_that_is_shut_is_no_address(apis: Apis):
    api = await apis.start(doors="ws")
    alice = await api.user("alice")
    answer = await alice.post(DOOR, json=body(user("Hi")))
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
