"""What a client tells of its own tools, over every door, where it is more than an operator's tool may say."""

from typing import Any

import httpx
import pytest

from tests.api.test_ag_ui_tools import Page
from tests.api.test_ai_sdk import send, user
from tests.api.test_ai_sdk_tools import TOOLS, buy, decided, goes_on, output
from tests.api.test_openai_chat_tools import FIND as FIND_IN_CHAT
from tests.api.test_openai_chat_tools import HI, complete
from tests.api.test_openai_responses_tools import FIND as FIND_IN_RESPONSE
from tests.api.test_openai_responses_tools import output as output_item
from tests.api.test_openai_responses_tools import respond
from tests.api.test_turns import FIND, answer_calls, calls_in, say
from tests.support.api import Api, Apis
from tests.support.turns import ASKS, calling, handled
from tests.support.widget_tab import Tab

MOST = 100
FITS, TOO_LONG = "é" * MOST, "é" * (MOST + 1)
TOLD = "The tool said more than 100 characters, which is too much."
EACH = [(FITS, "completed", FITS), (TOO_LONG, "failed", TOLD)]


@pytest.fixture
async def api(apis: Apis) -> Api:
    return await apis.start(max_tool_result_chars=MOST)


async def outcome(api: Api, client: httpx.AsyncClient) -> tuple[str, str]:
    """How the call stands in the newest thread, and what is stored of it; the model was told just that."""
    [thread, *_] = (await client.get("/api/threads")).json()["data"]
    messages = (await client.get(f"/api/threads/{thread['id']}/messages")).json()["data"]
    parts = [part for message in messages for part in message["parts"] if part["type"] == "tool_result"]
    [stored] = [part["content"] for part in parts]
    assert [m.content for m in api.model.calls[-1].prompt.messages if m.role == "tool"] == [stored]
    [status] = (await calls_in(client, thread["id"])).values()
    return status, stored


def asks(api: Api, name: str = "find") -> None:
    api.model.then(*calling(name), ASKS)
    api.model.then("Well.")


@pytest.mark.parametrize(("said", "status", "told"), EACH)
async def test_over_our_own_door(api: Api, alice: httpx.AsyncClient, said: str, status: str, told: str):
    asks(api)
    thread_id = (await say(alice, tools=[FIND]))["thread_id"]
    outputs = [{"call_id": "c1", "content": said}]
    done = await answer_calls(alice, thread_id, outputs=outputs)
    assert (done.status_code, done.json()["response"]) == (200, "Well.")
    assert await outcome(api, alice) == (status, told)
    assert (await answer_calls(alice, thread_id, outputs=outputs)).json()["run_id"] == done.json()["run_id"]


@pytest.mark.parametrize(("said", "status", "told"), EACH)
async def test_in_a_history(api: Api, alice: httpx.AsyncClient, said: str, status: str, told: str):
    call = {"type": "tool_call", "id": "c1", "name": "find", "arguments": "{}"}
    result = {"type": "tool_result", "call_id": "c1", "content": said}
    roles = {"user": "Where?", "assistant": [call], "tool": [result]}
    messages = [{"role": role, "content": content} for role, content in roles.items()]
    assert (await alice.post("/api/chat/protected", json={"messages": messages})).status_code == 200
    assert await outcome(api, alice) == (status, told)


@pytest.mark.parametrize(("said", "status", "told"), EACH)
async def test_over_chat_completions(api: Api, alice: httpx.AsyncClient, said: str, status: str, told: str):
    asks(api)
    message = (await complete(alice, tools=[FIND_IN_CHAT]))["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": "c1", "content": said}
    await complete(alice, HI, message, result, tools=[FIND_IN_CHAT], store=True)
    assert await outcome(api, alice) == (status, told)


@pytest.mark.parametrize("stored_here", [True, False])
@pytest.mark.parametrize(("said", "status", "told"), EACH)
async def test_over_responses(api: Api, alice: httpx.AsyncClient, said: str, status: str, told: str, stored_here: bool):
    asks(api)
    first = await respond(alice, tools=[FIND_IN_RESPONSE], store=stored_here)
    given: list[dict[str, Any]] = [output_item(said=said)]
    if stored_here:
        await respond(alice, given, previous_response_id=first["id"])
    else:
        await respond(alice, [HI, *first["output"], *given])
    assert await outcome(api, alice) == (status, told)


@pytest.mark.parametrize(("said", "status", "told"), EACH)
async def test_over_the_ai_sdk(api: Api, alice: httpx.AsyncClient, said: str, status: str, told: str):
    asks(api, "where")
    first = await send(alice, user("Hi"), tools=TOOLS)
    await goes_on(alice, first, c1=output(said))
    assert await outcome(api, alice) == (status, told)


@pytest.mark.parametrize(("said", "status", "told"), EACH)
async def test_over_ag_ui(api: Api, alice: httpx.AsyncClient, said: str, status: str, told: str):
    page = Page(alice)
    asks(api, "look")
    await page.run()
    page.tells(page.held.pending[0], said)
    messages = list(page.held.messages)
    await page.run()
    assert await outcome(api, alice) == (status, told)
    await page.run(run="another", messages=messages)
    assert len(api.model.calls) == 2, "the same again is the same run"


@pytest.mark.parametrize(("said", "status", "told"), EACH)
async def test_over_chatkit(api: Api, alice: httpx.AsyncClient, said: str, status: str, told: str):
    asks(api)
    thread_id = (await say(alice, tools=[FIND]))["thread_id"]
    answered = await (await Tab(alice, thread_id).load()).output(said)
    assert answered.shown == "Well."
    assert await outcome(api, alice) == (status, told)


async def test_a_refusal_stands_without_a_reason_of_such_a_length(apis: Apis):
    api = await apis.start(max_tool_result_chars=MOST, swapped={"python_tools": handled(buy())})
    alice = await api.user("alice")
    asks(api, "buy")
    await goes_on(alice, await send(alice, user("Hi")), c1=decided(False, reason=TOO_LONG))
    assert await outcome(api, alice) == ("denied", "The user did not allow this call.")
