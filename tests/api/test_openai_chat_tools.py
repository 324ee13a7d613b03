"""Tools over `POST /v1/chat/completions`: a client's own, and those that are carried out here."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatorch.domain.model.conversation import Role
from chatorch.domain.model.upstream_errors import UpstreamRejected
from chatorch.ports.chat_model import Finish
from tests.support.api import MODEL, Api, Apis
from tests.support.fakes import PROVIDER_USAGE
from tests.support.openai_chunks import Shown
from tests.support.turns import ASKS, Handled, calling, handled
from tests.support.ws import served, token_of

Json = dict[str, Any]
PATH = "/v1/chat/completions"
HI: Json = {"role": "user", "content": "Hi"}
FIND: Json = {
    "type": "function",
    "function": {"name": "find", "description": "Finds.", "parameters": {"type": "object"}},
}


def named(name: str, **members: Any) -> Json:
    return {"type": "function", "function": {"name": name, **members}}


@pytest.fixture
def look() -> Handled:
    return Handled("look", "a door", progress=(1, 2))


@pytest.fixture
async def api(apis: Apis, look: Handled) -> Api:
    """One with two tools of its own, of which one needs approval."""
    order = Handled("order", about={"needs_approval": True})
    return await apis.start(swapped={"python_tools": handled(look, order)})


@pytest.fixture
async def alice(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    return await api.user("alice")


async def complete(client: httpx.AsyncClient, *history: Json, **members: Any) -> Json:
    """The completion."""
    answer = await client.post(PATH, json={"model": MODEL, "messages": [*(history or (HI,))], **members})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def stream(client: httpx.AsyncClient, *history: Json, **members: Any) -> Shown:
    body = {"model": MODEL, "messages": [*(history or (HI,))], "stream": True, **members}
    return Shown(run=None).read((await client.post(PATH, json=body)).content)


async def refused(client: httpx.AsyncClient, **members: Any) -> Json:
    answer = await client.post(PATH, json={"model": MODEL, "messages": [HI], **members})
    assert answer.status_code == 400, answer.text
    error: Json = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    return error


async def test_a_tool_of_the_clients_is_called_by_the_client(api: Api, alice: httpx.AsyncClient):
    api.model.then("I ", "look. ", *calling("find", "c1", a="é"), *calling("find", "c2"), ASKS)
    asked = await complete(alice, tools=[FIND], tool_choice="required", parallel_tool_calls=False, store=True)
    [choice] = asked["choices"]
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert message["content"] == "I look. "
    assert [call["id"] for call in message["tool_calls"]] == ["c1", "c2"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"a": "é"}
    prompt = api.model.calls[0].prompt
    assert {tool.name for tool in prompt.tools} == {"find", "look"}
    assert (prompt.generation.tool_choice, prompt.generation.parallel_tool_calls) == ("required", False)

    results = [{"role": "tool", "tool_call_id": ident, "content": f"of {ident}"} for ident in ("c2", "c1")]
    answered = await complete(alice, HI, message, *results, tools=[FIND], store=True)
    assert (answered["choices"][0]["message"]["content"], answered["choices"][0]["finish_reason"]) == (
        "Hello world",
        "stop",
    )
    said = [(one.role, one.content, one.call_id) for one in api.model.calls[1].prompt.messages]
    assert said == [
        (Role.USER, "Hi", None),
        (Role.ASSISTANT, "I look. ", None),
        (Role.TOOL, "of c1", "c1"),
        (Role.TOOL, "of c2", "c2"),
    ]
    newest, oldest = (await alice.get("/api/threads")).json()["data"]
    kept = (await alice.get(f"/api/threads/{newest['id']}/messages")).json()["data"]
    assert [(one["role"], [part["type"] for part in one["parts"]]) for one in kept] == [
        ("user", ["text"]),
        ("assistant", ["text", "tool_call", "tool_call"]),
        ("tool", ["tool_result"]),
        ("tool", ["tool_result"]),
        ("assistant", ["text"]),
    ]
    assert [part["status"] for part in kept[1]["parts"][1:]] == ["completed", "completed"]
    waiting = (await alice.get(f"/api/threads/{oldest['id']}/messages")).json()["data"][-1]
    assert [part.get("status") for part in waiting["parts"]] == [None, "pending", "pending"]


async def test_a_stream_tells_calls_as_the_answer_does(api: Api, alice: httpx.AsyncClient):
    given = {"tools": [FIND], "stream_options": {"include_usage": True}}
    for steps in (
        [*calling("find", "c1", a=1)],
        ["So ", "so. ", *calling("find", "c1"), *calling("find", "c2", b="x")],
    ):
        api.model.then(*steps, ASKS)
        api.model.then(*steps, ASKS)
        message = (await complete(alice, **given))["choices"][0]["message"]
        heard = await stream(alice, **given)
        assert (heard.content or None, heard.calls) == (message["content"], message["tool_calls"])
        assert heard.finish_reasons == ["tool_calls"]
        assert heard.chunks[-1]["usage"]["total_tokens"] == 12


async def test_what_is_carried_out_here_is_the_text_that_comes_of_it(api: Api, alice: httpx.AsyncClient, look: Handled):
    for turn in (1, 2):
        api.model.then("Let me look. ", *calling("look", at=1), ASKS)
        api.model.then("A door.")
        if turn == 1:
            answer = await complete(alice, store=True)
            message, usage = answer["choices"][0]["message"], answer["usage"]
            assert (message["content"], answer["choices"][0]["finish_reason"]) == ("Let me look. A door.", "stop")
            assert "tool_calls" not in message
            assert usage["total_tokens"] == 2 * PROVIDER_USAGE.total_tokens
        else:
            heard = await stream(alice)
            assert (heard.message, heard.finish_reasons) == (("Let me look. A door.", "", [], []), ["stop"])
    assert len(look.made) == 2
    offered = {tool.name for tool in api.model.calls[0].prompt.tools}
    assert offered == {"look"}, "nobody could approve of the other one"
    [thread] = (await alice.get("/api/threads")).json()["data"]
    kept = (await alice.get(f"/api/threads/{thread['id']}/messages")).json()["data"][-1]
    assert [part["type"] for part in kept["parts"]] == ["text", "tool_call", "data", "data", "tool_result", "text"]


async def test_of_one_step_the_client_is_told_only_what_is_its_own(api: Api, alice: httpx.AsyncClient, look: Handled):
    api.model.then(*calling("look", "s1"), *calling("find", "c1"), *calling("nothing", "n1"), ASKS)
    choice = (await complete(alice, tools=[FIND]))["choices"][0]
    assert [call["id"] for call in choice["message"]["tool_calls"]] == ["c1"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")
    assert len(look.made) == 1
    result = {"role": "tool", "tool_call_id": "c1", "content": "it"}
    answered = await complete(alice, HI, choice["message"], result, tools=[FIND])
    assert answered["choices"][0]["message"]["content"] == "Hello world"


async def test_a_tool_of_the_clients_hides_ours_of_the_same_name(api: Api, alice: httpx.AsyncClient, look: Handled):
    api.model.then(*calling("look", "c1"), ASKS)
    choice = (await complete(alice, tools=[named("look")]))["choices"][0]
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "look", "arguments": "{}"}
    assert not look.made


async def test_the_same_key_is_the_same_calls(api: Api, alice: httpx.AsyncClient):
    api.model.then(*calling("find", "c1", a=1), ASKS)
    alice.headers["Idempotency-Key"] = "once"
    first, again = await complete(alice, tools=[FIND]), await complete(alice, tools=[FIND])
    assert first == again
    heard = await stream(alice, tools=[FIND])
    assert heard.calls == first["choices"][0]["message"]["tool_calls"]
    assert len(api.model.calls) == 1
    for other in ([named("other")], None):
        assert (await refused(alice, tools=other))["param"] == "Idempotency-Key"


CANNOT: list[tuple[Json, str]] = [
    ({"tools": [FIND] * 2}, "tools"),
    ({"tools": [named(f"t{n}") for n in range(129)]}, "tools"),
    ({"tools": {"find": FIND}}, "tools"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
    ({"tools": [FIND, {"type": "web_search"}]}, "tools[1].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [named("has space")]}, "tools[0].function.name"),
    ({"tools": [named("x" * 65)]}, "tools[0].function.name"),
    ({"tools": [named("")]}, "tools[0].function.name"),
    ({"tools": [named("x", parameters="{}")]}, "tools[0].function.parameters"),
    ({"tools": [named("x", strict="yes")]}, "tools[0].function.strict"),
    ({"tools": [named("x", frobnicate=1)]}, "tools[0].function.frobnicate"),
    ({"tool_choice": named("find")}, "tool_choice.function.name"),
    ({"tools": [FIND], "tool_choice": named("look")}, "tool_choice.function.name"),
    ({"tools": [FIND], "tool_choice": "any"}, "tool_choice"),
    ({"tools": [FIND], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice.type"),
    ({"tools": [FIND], "tool_choice": {"type": "custom", "custom": {"name": "find"}}}, "tool_choice.type"),
    ({"tools": [FIND], "tool_choice": ["none"]}, "tool_choice"),
    ({"tools": [], "tool_choice": "required"}, "tool_choice"),
    ({"tools": [FIND], "parallel_tool_calls": "no"}, "parallel_tool_calls"),
    ({"tools": [FIND], "functions": [{"name": "f"}]}, "functions"),
    ({"messages": [HI, {"role": "function", "name": "f", "content": "x"}]}, "messages[1].role"),
    (
        {"messages": [HI, {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}]},
        "messages[1].tool_calls[0].type",
    ),
]


async def test_what_cannot_be_is_named(api: Api, alice: httpx.AsyncClient):
    for members, param in CANNOT:
        error = await refused(alice, **members)
        assert (error["param"], error["code"]) == (param, "invalid_request"), members
    assert not api.model.calls


async def test_calls_that_wait_for_an_answer_are_named(api: Api, alice: httpx.AsyncClient):
    calls = [{"id": ident, "type": "function", "function": {"name": "find", "arguments": ""}} for ident in ("a", "b")]
    asked = {"role": "assistant", "content": None, "tool_calls": calls}
    error = await refused(alice, messages=[HI, asked, {"role": "tool", "tool_call_id": "b", "content": "x"}])
    assert (error["param"], error["code"]) == ("messages[1].tool_calls", "tool_calls_open")
    assert error["message"] == "Calls of tools wait for an answer: a."
    assert not api.model.calls
    await complete(alice, HI, asked, HI, tools=[FIND])
    told = [one for one in api.model.calls[0].prompt.messages if one.role is Role.TOOL]
    assert [one.call_id for one in told] == ["a", "b"]
    assert {one.content for one in told} == {"This tool was not called."}


async def test_choices_and_a_cut_off_call(api: Api, alice: httpx.AsyncClient):
    for choice in ("none", "auto", named("find")):
        await complete(alice, tools=[FIND], tool_choice=choice)
        assert api.model.calls[-1].prompt.generation.tool_choice == choice
    await complete(alice, tool_choice="none")
    assert api.model.calls[-1].prompt.generation.tool_choice == "none", "ours are not to be called either"
    await complete(alice, tools=[], tool_choice="auto", parallel_tool_calls=False)
    asked = api.model.calls[-1].prompt.generation.asked()
    assert asked == {"unattended": True, "parallel_tool_calls": False}, "it is about tools of ours, too"
    api.model.then(*calling("find", "c1"), Finish("length", PROVIDER_USAGE))
    cut_off = (await complete(alice, tools=[FIND]))["choices"][0]
    assert cut_off["finish_reason"] == "length"


async def test_what_the_provider_says_of_a_schema_is_its_own_refusal(api: Api, alice: httpx.AsyncClient):
    api.model.then(UpstreamRejected())
    answer = await alice.post(PATH, json={"model": MODEL, "messages": [HI], "tools": [FIND]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_rejected")
    assert answer.headers["x-should-retry"] == "false"


async def test_the_loop_of_the_documentation_works_as_it_is(apis: Apis, capsys: pytest.CaptureFixture[str]):
    docs = (Path(__file__).parents[2] / "docs/clients.md").read_text()
    [code] = [
        block for block in re.findall(r"```python\n(.*?)```", docs, re.DOTALL) if "pydantic_function_tool" in block
    ]
    api = await apis.start()
    api.model.then(*calling("weather", "c1", city="Oslo"), *calling("weather", "c2", city="Bergen"), ASKS)
    token = token_of(await api.user("alice"))
    async with served(api) as door:
        code = code.replace("127.0.0.1:8000", f"127.0.0.1:{door.port}").replace("gpt-5.4-mini", MODEL)
        names: dict[str, Any] = {"TOKEN": token}
        await asyncio.to_thread(exec, code, names)
        names["client"].close()  # a program would end here
    assert "Hello world" in capsys.readouterr().out
    said = [one.content for one in api.model.calls[1].prompt.messages if one.role is Role.TOOL]
    assert said == ["Sunny in Oslo.", "Sunny in Bergen."]


async def test_a_guest_has_no_tools(apis: Apis, look: Handled):
    api = await apis.start(anonymous_chat=True, swapped={"python_tools": handled(look)})
    nobody = api.anonymous()
    assert (await refused(nobody, tools=[FIND]))["param"] == "tools"
    asked = {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "find", "arguments": "{}"}}]}
    error = await refused(nobody, messages=[HI, asked, {"role": "tool", "tool_call_id": "c", "content": "x"}])
    assert error["param"] == "messages"
    assert (await complete(nobody))["choices"][0]["message"]["content"] == "Hello world"
    assert api.model.calls[0].prompt.tools == ()
