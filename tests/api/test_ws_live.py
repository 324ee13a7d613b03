"""What devices are told without asking: of each other, of runs begun elsewhere, and what is announced."""

import httpx
import pytest

from tests.support.api import Api, ask, is_time, problem_of
from tests.support.ws import Device, Door, token_of


async def test_a_users_other_devices_hear_who_joins_and_leaves_and_nobody_else_does(
    door: Door, phone: Device, alice: httpx.AsyncClient, bob: httpx.AsyncClient
):
    other = await door.connect("tablet", token_of(bob))
    await other.ask("ping")
    tablet = await door.connect("tablet", token_of(alice))
    assert await phone.receive() == {"type": "presence", "client_id": "tablet", "status": "joined"}
    await tablet.nothing_more()
    await tablet.connection.close()
    assert await phone.receive() == {"type": "presence", "client_id": "tablet", "status": "left"}
    await other.nothing_more()


async def test_the_same_device_again_takes_the_place_of_the_older_connection(
    door: Door, phone: Device, alice: httpx.AsyncClient, bob: httpx.AsyncClient
):
    tablet = await door.connect("tablet", token_of(alice))
    await phone.receive()
    other = await door.connect("phone", token_of(bob))
    again = await door.connect("phone", token_of(alice))
    assert await phone.close_code() == 4409
    for device in (again, tablet, other):
        await device.nothing_more()


async def test_a_run_is_told_to_the_other_devices_and_not_to_the_one_that_began_it(
    api: Api, door: Door, phone: Device, alice: httpx.AsyncClient, bob: httpx.AsyncClient
):
    other = await door.connect("phone", token_of(bob))
    tablet = await door.connect("tablet", token_of(alice))
    await phone.receive()
    ack = await tablet.ask("chat.send", content="Hi")
    await tablet.run_ended(ack["run_id"])
    started = await phone.receive()
    assert started == tablet.events(ack["run_id"])[0]
    assert (started["run_id"], started["thread_id"], started["seq"]) == (ack["run_id"], ack["thread_id"], 1)
    assert started.keys() == {"run_id", "seq", "type", "thread_id", "message_id", "model"}
    assert [event["type"] for event in tablet.events(ack["run_id"])].count("run.started") == 1
    for device in (phone, other):
        await device.nothing_more()


async def test_a_run_that_was_begun_by_http_is_told_to_all_devices(phone: Device, alice: httpx.AsyncClient):
    run_id = (await ask(alice))["run_id"]
    assert (await phone.until_type("run.started"))["run_id"] == run_id


# -- announcements -----------------------------------------------------------------------------------------------------


async def test_an_announcement_reaches_everyone_once(
    api: Api, door: Door, phone: Device, alice: httpx.AsyncClient, bob: httpx.AsyncClient
):
    other = await door.connect("phone", token_of(bob))
    await other.ask("ping")
    root = await api.user("root", admin=True)
    answer = await root.post("/api/broadcast", json={"text": "Down at noon ☕"})
    assert answer.status_code == 200
    said = answer.json()
    assert said.keys() == {"text", "timestamp"}
    assert is_time(said["timestamp"])
    for device in (phone, other):
        assert await device.receive() == {"type": "announcement", **said}
        await device.nothing_more()


async def test_only_an_admin_may_announce(api: Api, phone: Device, alice: httpx.AsyncClient):
    problem_of(await alice.post("/api/broadcast", json={"text": "Hi"}), 403, "insufficient_scope")
    problem_of(await api.anonymous().post("/api/broadcast", json={"text": "Hi"}), 401, "not_authenticated")
    await phone.nothing_more()


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "x" * 4001}, {"text": 1}, {"text": "a", "to": "b"}, []])
async def test_an_announcement_that_is_wrong_reaches_nobody(api: Api, phone: Device, body: object):
    root = await api.user("root", admin=True)
    problem_of(await root.post("/api/broadcast", json=body), 422, "invalid_request", "errors")
    await phone.nothing_more()
