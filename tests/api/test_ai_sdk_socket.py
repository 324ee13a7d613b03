"""`/ws/ai-sdk`: requests of `WebSocketChatTransport`, what they are answered, and who may ask."""

import json

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.api import Api, Apis, ask
from tests.support.eventually import eventually
from tests.support.fakes import Pause
from tests.support.logged import logged
from tests.support.ui_socket import PATH, chunks, page_at, shown
from tests.support.ws import served, token_of


def part(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


async def becomes(client: httpx.AsyncClient, chat: str, status: str) -> None:
    """The run of the chat's only answer."""

    async def so() -> bool:
        answer = await client.get(f"/api/ai-sdk/{chat}/messages")
        said = answer.json()["data"] if answer.is_success else []
        runs = {m["metadata"]["run_id"] for m in said if m["role"] != "user"}
        return [(await client.get(f"/api/runs/{run_id}")).json()["status"] for run_id in runs] == [status]

    await eventually(so)


# -- asking ------------------------------------------------------------------------------------------------------------


async def test_an_answer_comes_in_chunks_from_0_on_and_is_stored(api: Api, alice: httpx.AsyncClient):
    api.model.then("Hel", "lo")
    async with served(api) as door:
        page = await page_at(door, token_of(alice))
        frames = await page.over(await page.send("one"))
        assert frames[0]["sequence"] == 0
        told = [chunk["type"] for chunk in chunks(frames)]
        assert told[:3] == ["start", "start-step", "text-start"]
        assert told[-3:] == ["text-end", "finish-step", "finish"]
        assert (shown(frames), frames[-1]["type"]) == ("Hello", "end")
    said = (await alice.get("/api/ai-sdk/one/messages")).json()["data"]
    assert said[-1]["id"] == chunks(frames)[0]["messageId"]
    assert said[-1]["parts"][-1]["text"] == "Hello"


async def test_several_chats_share_a_connection(api: Api, alice: httpx.AsyncClient):
    pauses = [Pause() for _ in range(3)]
    for number, pause in enumerate(pauses):
        api.model.then(f"{number}", pause, f"{number}")
    async with served(api) as door:
        page = await page_at(door, token_of(alice))
        asked = []
        for number, pause in enumerate(pauses):
            asked.append(await page.send(f"chat {number}"))
            await pause.reached()
        for pause in reversed(pauses):
            pause.go_on()
        assert [shown(await page.over(request_id)) for request_id in asked] == ["00", "11", "22"]


async def test_body_and_headers_of_a_frame_count_as_of_a_request(api: Api, alice: httpx.AsyncClient):
    async with served(api) as door:
        page = await page_at(door, token_of(alice), headers={"Idempotency-Key": "once"})
        ask = {"requestId": "a", "body": {"temperature": 0.5}, "messages": [{"role": "user", "parts": []}]}
        text = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
        first = await page.over(await page.send("one", **{**ask, "messages": [text]}))
        again = await page.over(await page.send("one", **{**ask, "requestId": "b", "messages": [text]}))
        assert chunks(first)[0] == chunks(again)[0]
        assert "once" not in await page.error(await page.send("one", "Other"))
    assert [call.prompt.generation.temperature for call in api.model.calls] == [0.5]


async def test_a_long_history_may_come_with_each_message(api: Api, alice: httpx.AsyncClient):
    async with served(api) as door:
        page = await page_at(door, token_of(alice))
        old = [{"id": f"o{n}", "role": "assistant", "parts": [{"type": "text", "text": "x" * 9000}]} for n in range(50)]
        new = {"id": "new", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
        assert shown(await page.over(await page.send("one", messages=[*old, new]))) == "Hello world"
        unknown = await page_at(door, headers={"authorization": alice.headers["authorization"]})
        await unknown.send("one", messages=[*old, new])
        assert await unknown.device.close_code() == 1009
        assert unknown.device.frames == []


# -- coming back -------------------------------------------------------------------------------------------------------


async def test_whoever_comes_back_is_told_all_from_the_start(api: Api, alice: httpx.AsyncClient):
    pause = Pause()
    api.model.then("one ", pause, "two")
    async with served(api) as door:
        first = await page_at(door, token_of(alice))
        await first.shows(await first.send("one"), "one ")
        second = await page_at(door, token_of(alice))
        asked = await second.resume("one")
        await second.shows(asked, "one ")
        assert second.of(asked)[0]["type"] == "start"
        pause.go_on()
        frames = await second.over(asked)
        assert (frames[1]["sequence"], shown(frames)) == (0, "one two")
        assert (await second.over(await second.resume("one")))[-1]["type"] == "no-active"
        assert (await second.over(await second.resume("never seen")))[-1]["type"] == "no-active"


@pytest.mark.parametrize("last", [0, 1, 2, 50])
async def test_behind_a_number_the_step_is_told_anew(api: Api, alice: httpx.AsyncClient, last: int):
    pause = Pause()
    api.model.then("one ", pause, "two")
    async with served(api) as door:
        page = await page_at(door, token_of(alice))
        await page.shows(await page.send("one"), "one ")
        asked = await page.resume("one", lastSequence=last)
        await page.shows(asked, "one ")
        pause.go_on()
        frames = await page.over(asked)
        assert (frames[1]["sequence"], shown(frames)) == (last + 1, "one two")
        assert ("reset-step" in [chunk["type"] for chunk in chunks(frames)]) is (last >= 2)


# -- giving up ---------------------------------------------------------------------------------------------------------


async def test_who_gives_up_leaves_the_answer_and_is_told_no_more(api: Api, alice: httpx.AsyncClient):
    """The client does so whenever a page changes its view; others may be watching."""
    pause = Pause()
    api.model.then("one ", pause, "two")
    async with served(api) as door:
        page, other = await page_at(door, token_of(alice)), await page_at(door, token_of(alice))
        asked = await page.send("one")
        await page.shows(asked, "one ")
        watching = await other.resume("one")
        await other.shows(watching, "one ")
        await other.abort(watching)
        await page.abort(asked)
        again = await page.resume("one")
        await page.shows(again, "one ")
        pause.go_on()
        assert shown(await page.over(again)) == "one two"
        assert (page.of(asked)[-1]["type"], other.of(watching)[-1]["type"]) == ("chunk", "chunk")
    await becomes(alice, "one", "completed")


async def test_one_that_is_given_up_before_it_begins_is_an_answer_all_the_same(api: Api, alice: httpx.AsyncClient):
    async with served(api) as door:
        page = await page_at(door, token_of(alice))
        with logged() as out:
            for number in range(5):
                await page.abort(await page.send(f"chat {number}"))
            await page.over(await page.resume("none"))
        assert out.named("frame_failed") == []
    for number in range(5):
        await becomes(alice, f"chat {number}", "completed")


# -- who may ask -------------------------------------------------------------------------------------------------------


async def test_the_token_may_come_with_the_first_request_and_a_newer_one_later(api: Api, alice: httpx.AsyncClient):
    async with served(api) as door:
        page = await page_at(door, headers={"authorization": alice.headers["authorization"]})
        assert shown(await page.over(await page.send("one"))) == "Hello world"
        page.headers = {"Authorization": "Bearer nonsense"}
        assert await page.error(await page.send("one"))
        page.headers = {}
        assert shown(await page.over(await page.send("one"))) == "Hello world"


async def test_another_user_at_the_same_page_sees_nothing_of_the_one_before(api: Api, alice: httpx.AsyncClient):
    api.model.then("one ", pause := Pause(), "two")
    bob = await api.user("bob")
    async with served(api) as door:
        page = await page_at(door, token_of(alice))
        hers = await page.send("one")
        await page.shows(hers, "one ")
        page.headers = {"authorization": bob.headers["authorization"]}
        assert (await page.over(await page.resume("one")))[-1]["type"] == "no-active"
        pause.go_on()
        await becomes(alice, "one", "completed")
        assert shown(page.of(hers)) == "one "
        await page.over(await page.send("his"))
        assert len((await bob.get("/api/ai-sdk/his/messages")).json()["data"]) == 2
        assert (await alice.get("/api/ai-sdk/his/messages")).status_code == 404


async def test_a_switch_of_users_leaves_also_what_is_only_being_opened(api: Api, alice: httpx.AsyncClient):
    bob = await api.user("bob")
    async with served(api) as door:
        page = await page_at(door, token_of(alice))
        pauses = [Pause(), Pause()]
        for pause in pauses:
            api.model.then("one ", pause, "two")
        hers = await page.send("hers")
        page.headers = {"authorization": bob.headers["authorization"]}
        his = await page.send("his")
        await page.shows(his, "one ")
        for pause in pauses:
            pause.go_on()
        assert shown(await page.over(his)) == "one two"
        await becomes(alice, "hers", "completed")
        assert "two" not in shown(page.of(hers))


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer x"}, {"authorization": "Basic eDp4"}])
async def test_who_may_not_is_told_so_and_sent_away(api: Api, headers: dict[str, str]):
    async with served(api) as door:
        page = await page_at(door, headers=headers)
        assert await page.error(await page.send("one"))
        assert await page.device.close_code() == 4401
    assert api.model.calls == []


async def test_guests_ask_where_they_are_let_in_and_have_nothing_to_come_back_to(apis: Apis):
    api = await apis.start(anonymous_chat=True)
    async with served(api) as door:
        page = await page_at(door)
        assert shown(await page.over(await page.send("one"))) == "Hello world"
        assert (await page.over(await page.resume("one")))[-1]["type"] == "no-active"
        await api.container.sockets().token_expiry.check()
        assert shown(await page.over(await page.send("two"))) == "Hello world"


async def test_a_thread_of_another_user_is_none(api: Api, alice: httpx.AsyncClient):
    thread_id = (await ask(alice))["thread_id"]
    bob = await api.user("bob")
    async with served(api) as door:
        page = await page_at(door, token_of(bob))
        texts = [await page.error(await page.send(thread_id)), await page.error(await page.resume(thread_id))]
        unknown = await page.error(await page.send("thr_" + "0" * 26))
        assert texts == [unknown] * 2


async def test_a_user_has_so_many_connections(apis: Apis):
    api = await apis.start(max_connections_per_user=2)
    alice, bob = await api.user("alice"), await api.user("bob")
    async with served(api) as door:
        first, second = [await page_at(door, token_of(alice)) for _ in range(2)]
        third = await page_at(door, headers={"authorization": alice.headers["authorization"]})
        await third.send("none is begun")
        assert await third.device.close_code() == 4429
        assert "connections" in str(third.device.connection.close_reason)
        others = await page_at(door, token_of(bob))
        for page in (first, second, others):
            assert (await page.over(await page.resume("one")))[-1]["type"] == "no-active"
        await first.device.connection.close()

        async def one_more_may_come() -> bool:
            page = await page_at(door, token_of(alice))
            try:
                return (await page.over(await page.resume("one")))[-1]["type"] == "no-active"
            except ConnectionClosed:
                return False

        await eventually(one_more_may_come)
    assert api.model.calls == []


# -- what is no request ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"send"', "{}", '{"type":"send"}', '{"requestId":""}', '{"requestId":1}']
)
async def test_what_nobody_could_answer_closes_the_connection(api: Api, alice: httpx.AsyncClient, text: str):
    async with served(api) as door:
        for token in (token_of(alice), None):
            page = await page_at(door, token)
            await page.device.connection.send(text)
            assert (await page.device.close_code(), page.device.frames) == (1008, [])


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"type": "sned"}, "type"),
        ({"type": "send", "id": "a"}, "messages"),
        ({"type": "send", "id": "", "messages": []}, "id"),
        ({"type": "send", "id": "a\n", "messages": []}, "id"),
        ({"type": "send", "id": "a", "messages": []}, "messages"),
        ({"type": "send", "id": "a", "messages": [1]}, "messages"),
        ({"type": "send", "id": "a", "messages": [], "trigger": "x"}, "trigger"),
        ({"type": "send", "id": "a", "messages": [], "body": {"tools": [1]}}, "tools"),
        ({"type": "send", "id": "a", "messages": [], "body": {"colour": 1}}, "colour: is no field"),
        ({"type": "send", "id": "a", "messages": [{"role": "user", "parts": [{"type": "file"}]}]}, "parts"),
        ({"type": "send", "id": "a", "messages": [], "headers": {"x": 1}}, "headers"),
        ({"type": "send", "id": "a", "messages": [], "headers": {str(n): 1 for n in range(65)}}, "headers: has more"),
        ({"type": "send", "id": "a", "messages": [], "body": {str(n): 1 for n in range(65)}}, "body: has more"),
        (
            {"type": "send", "id": "a", "messages": [{"role": "user", "parts": [part("\ud83d")]}]},
            "",
        ),
        ({"type": "send", "id": "a", "messages": [{"role": "user", "parts": [part("\0")]}]}, "NUL"),
        ({"type": "send", "id": "a", "messages": [[[]]] * 21_000}, "lists and objects"),
        ({"type": "resume", "id": "a", "lastSequence": -1}, "lastSequence"),
        ({"type": "resume", "id": "a", "lastSequence": 2**53 - 1}, "lastSequence"),
        ({"type": "resume"}, "id"),
    ],
)
async def test_what_is_wrong_is_named_and_the_connection_goes_on(
    api: Api, alice: httpx.AsyncClient, members: dict[str, object], field: str
):
    async with served(api) as door:
        page = await page_at(door, token_of(alice))
        await page.device.connection.send(json.dumps({"requestId": "r", **members}))
        assert field in await page.error("r")
        assert (await page.over(await page.resume("none")))[-1]["type"] == "no-active"
    assert api.model.calls == []


async def test_an_id_that_is_being_answered_is_not_taken_twice(api: Api, alice: httpx.AsyncClient):
    api.model.then("one ", pause := Pause(), "two")
    async with served(api) as door:
        page = await page_at(door, token_of(alice))
        await page.shows(await page.send("one", requestId="r"), "one ")
        await page.send("two", requestId="r")
        assert "requestId" in await page.error("r")
        pause.go_on()
        await becomes(alice, "one", "completed")


async def test_a_flood_closes_the_connection(apis: Apis):
    api = await apis.start(ws_flood_limit=5)
    async with served(api) as door:
        page = await page_at(door, token_of(await api.user("alice")))
        for _ in range(6):
            await page.resume("none")
        assert await page.device.close_code() == 4429
        assert len(page.device.frames) <= 5


async def test_without_an_upgrade_it_is_426(api: Api, alice: httpx.AsyncClient):
    assert (await alice.get(PATH)).status_code == 426
