"""What a device can ask for through its WebSocket, and what it is answered."""

import asyncio

import httpx

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.content import PIECE_CHARS
from chatorch.domain.model.upstream_errors import UpstreamUnavailable
from tests.support.api import Api, Apis, ask, frames_of, live_run
from tests.support.fakes import Pause
from tests.support.ws import Device, Door, served, token_of

# -- sending -----------------------------------------------------------------------------------------------------------


async def test_a_message_is_acknowledged_then_its_run_is_told_in_the_envelope_of_sse(
    api: Api, phone: Device, alice: httpx.AsyncClient
):
    api.model.then("Hel", "lo")
    ack = await phone.ask("chat.send", id="m1", content="Hi")
    assert ack == {"type": "ack", "id": "m1", "run_id": ack["run_id"], "thread_id": ack["thread_id"]}
    screen = await phone.run_ended(ack["run_id"])
    assert (screen.text, [end["type"] for end in screen.terminals]) == ("Hello", ["run.completed"])
    told = frames_of((await alice.get(f"/api/runs/{ack['run_id']}/events")).text)
    events = phone.events(ack["run_id"])
    assert (events[0], events[-1]) == (told[0].data, told[-1].data)


async def test_messages_are_what_they_are_by_http(api: Api, phone: Device, alice: httpx.AsyncClient):
    messages = [{"role": "system", "content": "Be odd."}, {"role": "user", "content": "Hi", "metadata": {"a": 1}}]
    first = await phone.ask("chat.send", messages=messages)
    await phone.run_ended(first["run_id"])
    again = await phone.ask("chat.send", content="More", thread_id=first["thread_id"])
    await phone.run_ended(again["run_id"])
    messages = (await alice.get(f"/api/threads/{first['thread_id']}/messages")).json()["data"]
    assert [message["content"] for message in messages] == ["Be odd.", "Hi", "Hello world", "More", "Hello world"]
    assert messages[1]["metadata"] == {"a": 1}


async def test_the_same_id_again_joins_the_same_run_and_another_message_under_it_does_not(api: Api, phone: Device):
    first = await phone.ask("chat.send", id="same", content="Hi")
    await phone.run_ended(first["run_id"])
    phone.frames.clear()
    again = await phone.ask("chat.send", id="same", content="Hi")
    assert again == first
    assert (await phone.run_ended(first["run_id"])).text == "Hello world"
    assert len(api.model.calls) == 1
    other = await phone.ask("chat.send", id="same", content="Ho")
    assert (other["type"], other["code"]) == ("error", "idempotency_key_reused")


async def test_several_runs_at_once_are_told_each_by_itself(api: Api, phone: Device):
    pauses = [Pause() for _ in range(5)]
    for number, pause in enumerate(pauses):
        api.model.then(f"{number}", pause, f"{number}")
    acks = [await phone.ask("chat.send", content="Hi") for _ in pauses]
    for pause in reversed(pauses):
        await pause.reached()
        pause.go_on()
    texts = {(await phone.run_ended(ack["run_id"])).text for ack in acks}
    assert texts == {"00", "11", "22", "33", "44"}


async def test_a_busy_thread_is_an_error_that_names_its_run(api: Api, phone: Device):
    pause = Pause()
    api.model.then("a", pause)
    first = await phone.ask("chat.send", content="Hi")
    busy = await phone.ask("chat.send", id="m2", content="Ho", thread_id=first["thread_id"])
    assert busy.pop("detail")
    assert busy == {"type": "error", "id": "m2", "code": "thread_busy", "run_id": first["run_id"]}
    pause.go_on()
    await phone.run_ended(first["run_id"])


async def test_upstream_trouble_is_how_the_run_ends(api: Api, phone: Device):
    api.model.then("a", UpstreamUnavailable())
    ack = await phone.ask("chat.send", content="Hi")
    [end] = (await phone.run_ended(ack["run_id"])).terminals
    assert (end["type"], end["code"]) == ("run.failed", "upstream_unavailable")


async def test_while_the_process_drains_nothing_new_begins(api: Api, phone: Device):
    await api.container.executor().drain(0)
    refused = await phone.ask("chat.send", content="Hi")
    assert (refused["type"], refused["code"]) == ("error", "draining")


async def test_a_store_that_is_away_is_an_error_and_the_connection_stays(memory_api: Api, store: MemoryStore):
    token = token_of(await memory_api.user("alice"))
    async with served(memory_api) as door:
        phone = await door.connect(token=token)
        await phone.ask("ping")
        store.available = False
        for kind, members in (("chat.send", {"content": "Hi"}), ("run.follow", {"run_id": "run_1"}),
                              ("run.cancel", {"run_id": "run_1"})):  # fmt: skip
            answer = await phone.ask(kind, **members)
            assert (answer["type"], answer["code"]) == ("error", "store_unavailable")
        store.available = True
        ack = await phone.ask("chat.send", content="Hi")
        assert (await phone.run_ended(ack["run_id"])).text == "Hello world"


# -- following ---------------------------------------------------------------------------------------------------------


async def test_a_run_is_followed_from_any_position_and_after_its_end_there_is_only_the_acknowledgement(
    phone: Device, alice: httpx.AsyncClient
):
    run_id = (await ask(alice))["run_id"]
    await phone.until_type("run.started")
    phone.frames.clear()
    ack = await phone.ask("run.follow", id="f", run_id=run_id)
    assert (ack["type"], ack["run_id"]) == ("ack", run_id)
    whole = await phone.run_ended(run_id)
    assert whole.text == "Hello world"
    for after in range(1, whole.position):
        phone.frames.clear()
        await phone.ask("run.follow", run_id=run_id, after=after)
        await phone.until_type("run.completed")
        assert "".join(e.get("text", "") for e in phone.events(run_id)[:-1]) == whole.text[after - 1 :]
    for after in (whole.position, whole.position + 1, 2**62):
        assert (await phone.ask("run.follow", run_id=run_id, after=after))["type"] == "ack"
        await phone.nothing_more()


async def test_a_live_run_is_joined_in_the_middle(api: Api, phone: Device, alice: httpx.AsyncClient):
    async with live_run(api, alice, "Hello") as run:
        await phone.until_type("run.started")
        phone.frames.clear()
        await phone.ask("run.follow", run_id=run.id, after=3)
        assert (await phone.until_type("message.delta"))["text"] == "llo"
        await run.end()
        await phone.until_type("run.completed")


async def test_followed_twice_on_one_connection_nothing_comes_twice(api: Api, phone: Device, alice: httpx.AsyncClient):
    async with live_run(api, alice, "Hello") as run:
        await phone.until_type("run.started")
        await phone.ask("run.follow", run_id=run.id)
        await phone.until_type("message.delta")
        await phone.ask("run.follow", id="again", run_id=run.id, after=6)
        phone.frames.clear()
        await run.end()
        await phone.until_type("run.completed")
        await phone.nothing_more()
        assert [event["type"] for event in phone.events(run.id)] == ["run.completed"]


async def test_a_long_text_comes_in_parts_that_make_it_up(api: Api, door: Door, alice: httpx.AsyncClient):
    text = "".join(chr(0x1F600 + i % 50) for i in range(100_000))
    api.model.then(text)
    run_id = (await ask(alice))["run_id"]
    phone = await door.connect(token=token_of(alice))
    await phone.ask("run.follow", run_id=run_id, after=7)
    await phone.until_type("run.completed")
    pieces = [event["text"] for event in phone.events(run_id)[:-1]]
    assert "".join(pieces) == text[6:]
    assert max(map(len, pieces)) == PIECE_CHARS


async def test_what_is_not_hers_is_not_there(api: Api, door: Door, phone: Device, bob: httpx.AsyncClient):
    run_id = (await ask(bob))["run_id"]
    for kind in ("run.follow", "run.cancel"):
        for wanted in (run_id, "run_none"):
            answer = await phone.ask(kind, run_id=wanted)
            assert (answer["type"], answer["code"]) == ("error", "not_found")


# -- cancelling, leaving -----------------------------------------------------------------------------------------------


async def test_a_cancel_is_acknowledged_and_heard(api: Api, phone: Device):
    api.model.then("Hel", Pause())
    ack = await phone.ask("chat.send", content="Hi")
    await phone.until_type("message.delta")
    for number in (1, 2):
        answer = await phone.ask("run.cancel", id=f"c{number}", run_id=ack["run_id"])
        assert (answer["type"], answer["id"]) == ("ack", f"c{number}")
    [end] = (await phone.run_ended(ack["run_id"])).terminals
    assert (end["type"], end["reason"]) == ("run.cancelled", "user")


async def test_leaving_is_not_stopping(api: Api, door: Door, alice: httpx.AsyncClient):
    phone, pause = await door.connect("phone", token_of(alice)), Pause()
    api.model.then("Hel", pause, "lo")
    ack = await phone.ask("chat.send", content="Hi")
    await phone.until_type("message.delta")
    await phone.connection.close()
    pause.go_on()
    phone = await door.connect("phone", token_of(alice))
    await phone.ask("run.follow", run_id=ack["run_id"])
    assert (await phone.run_ended(ack["run_id"])).text == "Hello"


async def test_a_run_whose_only_follower_leaves_is_cancelled_after_the_grace(apis: Apis):
    api = await apis.start(detach_grace_s=0.3)
    alice = await api.user("alice")
    async with served(api) as door:
        phone = await door.connect("phone", token_of(alice))
        api.model.then("Hel", Pause())
        ack = await phone.ask("chat.send", content="Hi")
        await phone.until_type("message.delta")
        await phone.connection.close()
        tablet = await door.connect("tablet", token_of(alice))
        await (await api.model.called()).until_closed()
        await tablet.ask("run.follow", run_id=ack["run_id"])
        [end] = (await tablet.run_ended(ack["run_id"])).terminals
        assert (end["type"], end["reason"]) == ("run.cancelled", "detached")


async def test_an_open_connection_is_counted(api: Api, door: Door, alice: httpx.AsyncClient):
    async def counted() -> int:
        answer = await alice.get("/metrics", headers={"Accept": "application/json"})
        return answer.json()["active_connections"]

    before = await counted()
    phone = await door.connect("phone", token_of(alice))
    await phone.ask("ping")
    assert await counted() == before + 1
    await phone.connection.close()
    async with asyncio.timeout(5):
        while await counted() != before:
            await asyncio.sleep(0)
