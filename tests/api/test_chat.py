"""Sending messages: what is taken, what is stored, what the model sees, what comes back."""

import sqlite3

import httpx
import pytest

from chatorch.domain.model.conversation import Role
from chatorch.ports.chat_model import Finish
from tests.support.api import MODEL, Api, Apis, ask, is_time, problem_of, said

CHAT = "/api/chat/protected"


def message(role: str, content: str = "text", **members: object) -> dict[str, object]:
    return {"role": role, "content": content, **members}


async def status_of(client: httpx.AsyncClient, **body: object) -> int:
    return (await client.post(CHAT, json=body)).status_code


def prompt_of(api: Api, call: int = -1) -> list[tuple[Role, str]]:
    return [(said.role, said.content) for said in api.model.calls[call].prompt.messages]


@pytest.mark.parametrize("path", [CHAT, "/api/chat"])
async def test_an_answer_has_exactly_these_members(api: Api, alice: httpx.AsyncClient, path: str) -> None:
    answer = await alice.post(path, json=said("Hi"))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    body = answer.json()
    assert body.keys() == {
        "response", "parts", "thread_id", "timestamp", "run_id", "message_id", "model", "finish_reason", "usage",
    }  # fmt: skip
    assert (body["response"], body["model"], body["finish_reason"]) == ("Hello world", MODEL, "stop")
    assert body["parts"] == [{"type": "text", "text": "Hello world"}]
    assert body["usage"] == {
        "prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "cached_tokens": 0,
        "reasoning_tokens": 0, "source": "provider",
    }  # fmt: skip
    assert [body[name][:4] for name in ("thread_id", "run_id", "message_id")] == ["thr_", "run_", "msg_"]
    assert is_time(body["timestamp"])


async def test_text_outside_of_ascii_comes_back_as_utf8(api: Api, alice: httpx.AsyncClient) -> None:
    api.model.then("Grüße, ", "😀")
    answer = await alice.post(CHAT, json=said("Wie geht’s?"))
    assert "Grüße, 😀".encode() in answer.content
    assert prompt_of(api) == [(Role.USER, "Wie geht’s?")]


async def test_where_the_provider_counts_nothing_the_usage_is_a_guess_that_says_so(
    api: Api, alice: httpx.AsyncClient
) -> None:
    api.model.then("eight by", Finish("length", None))
    body = await ask(alice, "Hi")
    assert body["finish_reason"] == "length"
    assert body["usage"] == {
        "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cached_tokens": 0,
        "reasoning_tokens": 0, "source": "estimated",
    }  # fmt: skip


async def test_without_a_thread_a_new_one_holds_these_messages(api: Api, alice: httpx.AsyncClient) -> None:
    opening = [message("system", "Be kind."), message("user", "One"), message("assistant", "Two")]
    answer = await alice.post(CHAT, json={"messages": [*opening, message("user", "Three")]})
    thread = f"/api/threads/{answer.json()['thread_id']}/messages"
    stored = [(m["role"], m["content"]) for m in (await alice.get(thread)).json()["data"]]
    assert stored == [
        ("system", "Be kind."), ("user", "One"), ("assistant", "Two"), ("user", "Three"), ("assistant", "Hello world"),
    ]  # fmt: skip
    assert prompt_of(api) == [tuple(m) for m in stored[:-1]]


async def test_in_a_thread_they_are_appended_and_the_model_sees_what_was_said(
    api: Api, alice: httpx.AsyncClient
) -> None:
    first = await ask(alice, "One")
    second = await ask(alice, "Two", "Three", thread_id=first["thread_id"])
    assert second["thread_id"] == first["thread_id"]
    assert prompt_of(api) == [
        (Role.USER, "One"), (Role.ASSISTANT, "Hello world"), (Role.USER, "Two\n\nThree"),
    ]  # fmt: skip


async def test_what_openai_is_known_to_take_goes_out_as_it_was_said(apis: Apis) -> None:
    api = await apis.start(openai_base_url="https://api.openai.com/v1")
    await ask(await api.user("alice"), "Two", "Three")
    assert prompt_of(api) == [(Role.USER, "Two"), (Role.USER, "Three")]


async def test_the_model_sees_no_more_than_the_context_window_and_always_the_question(apis: Apis) -> None:
    api = await apis.start(context_chars=20)
    alice = await api.user("alice")
    thread = (await ask(alice, "12345"))["thread_id"]
    await ask(alice, "1234", thread_id=thread)
    assert prompt_of(api) == [(Role.USER, "12345"), (Role.ASSISTANT, "Hello world"), (Role.USER, "1234")]
    await ask(alice, "x" * 100, thread_id=thread)
    assert prompt_of(api) == [(Role.USER, "x" * 100)]


async def test_the_operators_system_prompt_always_comes_first(apis: Apis) -> None:
    api = await apis.start(system_prompt="Be brief.", context_chars=5)
    alice = await api.user("alice")
    await alice.post(CHAT, json={"messages": [message("system", "Be."), message("user", "A")]})
    assert prompt_of(api) == [(Role.SYSTEM, "Be brief.\n\nBe."), (Role.USER, "A")]


async def test_a_clients_system_message_stays_when_the_history_outgrows_the_window(apis: Apis) -> None:
    api = await apis.start(context_chars=30)
    alice = await api.user("alice")
    opening = [message("system", "Be odd."), message("user", "One")]
    thread = (await alice.post(CHAT, json={"messages": opening})).json()["thread_id"]
    for text in ("Two", "Three"):
        await ask(alice, text, thread_id=thread)
    assert prompt_of(api) == [
        (Role.SYSTEM, "Be odd."), (Role.USER, "Two"), (Role.ASSISTANT, "Hello world"), (Role.USER, "Three"),
    ]  # fmt: skip


# -- what is taken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [2000, 10])
async def test_a_message_has_1_to_so_many_characters(apis: Apis, limit: int) -> None:
    api = await apis.start(max_content_chars=limit)
    alice = await api.user("alice")
    for size, status in ((0, 422), (1, 200), (limit, 200), (limit + 1, 422)):
        assert await status_of(alice, messages=[message("user", "😀" * size)]) == status
    answer = await alice.post(CHAT, json={"messages": [message("user"), message("user", "x" * (limit + 1))]})
    body = problem_of(answer, 422, "invalid_request", "errors")
    assert body["errors"] == [{"field": "messages.1.content", "problem": f"must be 1 to {limit} characters"}]


@pytest.mark.parametrize("last", ["assistant", "system"])
async def test_the_last_message_must_be_the_users(alice: httpx.AsyncClient, last: str) -> None:
    answer = await alice.post(CHAT, json={"messages": [message("user"), message(last)]})
    body = problem_of(answer, 422, "invalid_request", "errors")
    assert body["errors"][0]["field"] == "messages"


@pytest.mark.parametrize("role", ["assistant", "system"])
async def test_only_the_user_speaks_in_a_thread_that_exists(alice: httpx.AsyncClient, role: str) -> None:
    thread = (await ask(alice))["thread_id"]
    answer = await alice.post(CHAT, json={"messages": [message(role), message("user")], "thread_id": thread})
    problem_of(answer, 422, "role_not_allowed", "errors")
    assert len((await alice.get(f"/api/threads/{thread}/messages")).json()["data"]) == 2


async def test_an_operator_may_refuse_system_messages_altogether(apis: Apis) -> None:
    api = await apis.start(client_system=False)
    alice = await api.user("alice")
    answer = await alice.post(CHAT, json={"messages": [message("system"), message("user")]})
    problem_of(answer, 422, "role_not_allowed", "errors")
    assert await status_of(alice, messages=[message("assistant"), message("user")]) == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": [message("tool")]},
        {"messages": [message("user")], "unknown": 1},
        {"messages": [message("user", unknown=1)]},
        {"messages": [message("user")], "stream": 1},
        {"messages": [message("user")], "thread_id": ""},
        {"messages": [message("user")], "model": 5},
        {"messages": [message("user", metadata=[])]},
        {"messages": [message("user", timestamp=5)]},
        {"messages": "Hi"},
    ],
)
async def test_what_is_no_chat_request_is_refused(alice: httpx.AsyncClient, body: dict[str, object]) -> None:
    problem_of(await alice.post(CHAT, json=body), 422, "invalid_request", "errors")
    assert (await alice.get("/api/threads")).json()["data"] == []


async def test_a_messages_metadata_is_kept_up_to_16_kib(alice: httpx.AsyncClient) -> None:
    fits = {"a": "x" * (16 * 1024 - len('{"a":""}'))}
    answer = await alice.post(CHAT, json={"messages": [message("user", metadata=fits)]})
    listed = await alice.get(f"/api/threads/{answer.json()['thread_id']}/messages")
    assert [m["metadata"] for m in listed.json()["data"]] == [fits, {}]
    too_much = {"a": fits["a"] + "x"}
    answer = await alice.post(CHAT, json={"messages": [message("user", metadata=too_much)]})
    assert problem_of(answer, 422, "invalid_request", "errors")["errors"][0]["field"] == "messages.0.metadata"


@pytest.mark.parametrize("timestamp", ["1999-12-31T23:59:59Z", "yesterday"])
async def test_a_clients_timestamp_is_kept_and_never_used(api: Api, alice: httpx.AsyncClient, timestamp: str) -> None:
    answer = await alice.post(CHAT, json={"messages": [message("user", timestamp=timestamp)]})
    stored = (await alice.get(f"/api/threads/{answer.json()['thread_id']}/messages")).json()["data"][0]
    assert is_time(stored["created_at"])
    assert not stored["created_at"].startswith("1999")
    path = api.container.settings().database_url.removeprefix("sqlite:///")
    connection = sqlite3.connect(path)
    kept = connection.execute("SELECT client_timestamp FROM messages WHERE id = ?", [stored["id"]]).fetchone()
    connection.close()
    assert kept == (timestamp,)
