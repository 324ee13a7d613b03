"""A message of which nothing can be seen, at every door."""

import httpx
import pytest

from tests.support.api import Api, Apis, ask, problem_of
from tests.support.widget import asked, create, said, send
from tests.support.ws import Device

BLANK = [" ", "\n\n\t", "\u200b\u200d\ufeff", "\u00a0\u3000", "\x07", "\u3164", "\u00ad\u202e"]
SEEN = ["👨\u200d👩\u200d👧", "می\u200cخواهم", "\u200b.", "\n0"]
NOT_BLANK = [{"field": "messages.0.content", "problem": "must not be blank"}]


async def threads_of(client: httpx.AsyncClient) -> list[str]:
    return [thread["id"] for thread in (await client.get("/api/threads")).json()["data"]]


@pytest.mark.parametrize("text", BLANK)
@pytest.mark.parametrize("stream", [False, True])
async def test_it_is_refused_and_nothing_is_stored(api: Api, alice: httpx.AsyncClient, text: str, stream: bool) -> None:
    body = {"messages": [{"role": "user", "content": text}], "stream": stream}
    for path in ("/api/chat/protected", "/api/chat"):
        assert problem_of(await alice.post(path, json=body), 422, "invalid_request", "errors")["errors"] == NOT_BLANK
    assert (await threads_of(alice), api.model.calls) == ([], [])


async def test_any_one_of_several_is_named_and_a_thread_stays_as_it_was(api: Api, alice: httpx.AsyncClient) -> None:
    roles = ("system", "assistant", "user", "user")
    for blank in range(4):
        given = [{"role": role, "content": " " if at == blank else "x"} for at, role in enumerate(roles)]
        answer = await alice.post("/api/chat/protected", json={"messages": given})
        body = problem_of(answer, 422, "invalid_request", "errors")
        assert body["errors"][0]["field"] == f"messages.{blank}.content"
    thread = (await ask(alice))["thread_id"]
    given = [{"role": "user", "content": "x"}, {"role": "user", "content": "\u200b"}]
    answer = await alice.post("/api/chat/protected", json={"messages": given, "thread_id": thread})
    problem_of(answer, 422, "invalid_request", "errors")
    assert len((await alice.get(f"/api/threads/{thread}/messages")).json()["data"]) == 2
    assert (await threads_of(alice), len(api.model.calls)) == ([thread], 1)


async def test_a_guests_is_refused_too(apis: Apis) -> None:
    api = await apis.start(anonymous_chat=True)
    body = {"messages": [{"role": "user", "content": "\t"}], "user_id": "kiosk"}
    answer = await api.anonymous().post("/api/chat", json=body)
    assert problem_of(answer, 422, "invalid_request", "errors")["errors"] == NOT_BLANK
    assert api.model.calls == []


@pytest.mark.parametrize("text", BLANK)
async def test_a_socket_says_so_and_stays(api: Api, phone: Device, alice: httpx.AsyncClient, text: str) -> None:
    short = await phone.ask("chat.send", content=text)
    long = await phone.ask("chat.send", messages=[{"role": "user", "content": text}])
    assert (short["type"], short["code"], short["detail"]) == ("error", "invalid_request", "content: must not be blank")
    assert (long["code"], long["detail"]) == ("invalid_request", "messages.0.content: must not be blank")
    assert (await threads_of(alice), api.model.calls) == ([], [])
    assert (await phone.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize("text", BLANK)
async def test_the_widget_is_told_of_its_own_field(api: Api, alice: httpx.AsyncClient, text: str) -> None:
    thread = (await create(alice, "Hi")).thread_id
    tag = {"type": "input_tag", "id": "e", "text": " ", "data": {}}
    for given in (said(text), said(text, quoted_text="quoted"), said(content=[tag])):
        for kind, where in (("threads.create", {}), ("threads.add_user_message", {"thread_id": thread})):
            answer = await send(alice, kind, input=given, **where)
            body = problem_of(answer, 422, "invalid_request", "errors")
            assert body["errors"][0]["field"] == "params.input.content"
    assert [listed["id"] for listed in (await asked(alice, "threads.list"))["data"]] == [thread]
    assert len(api.model.calls) == 1


@pytest.mark.parametrize("text", SEEN)
async def test_a_joiner_within_a_text_makes_nothing_blank(
    api: Api, alice: httpx.AsyncClient, phone: Device, text: str
) -> None:
    await ask(alice, text)
    await phone.run_ended((await phone.ask("chat.send", content=text))["run_id"])
    assert (await create(alice, text)).errors == []
    assert [call.prompt.messages[-1].content for call in api.model.calls] == [text] * 3
