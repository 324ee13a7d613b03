"""Another way to say who one is, from outside: on every door, until it ends."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from dependency_injector import providers

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.errors import Unavailable
from chatorch.entrypoints.container import Container
from tests.support.api import PASSWORD, Api, ask, credentials, frames_of, in_memory, problem_of, running_api, said
from tests.support.api_keys import ApiKeys
from tests.support.fakes import FakeClock, Pause, settle
from tests.support.widget import PATH, request
from tests.support.widget import said as asked
from tests.support.ws import served

IN_TIME_S = 4.9


class Embedded:
    """The application of somebody who adds keys of their own to what it takes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.keys = ApiKeys()

    def adapt(self, container: Container) -> None:
        container.credential_verifiers.add_args(providers.Object(self.keys))

    def running(self, **settings: object):
        swapped = {"clock": self.clock, **in_memory(self.store)}
        url = "sqlite:///nowhere.db"
        return running_api(swapped=swapped, database_url=url, adapt=self.adapt, chatkit_server=True, **settings)

    async def key(self, api: Api, name: str = "alice") -> str:
        user = await api.container.accounts().add(name, None)
        return self.keys.give(name, user.id)


@pytest.fixture
def embedded() -> Embedded:
    return Embedded()


@pytest.fixture
async def api(embedded: Embedded) -> AsyncIterator[Api]:
    async with embedded.running() as api:
        yield api


def by(api: Api, credential: str):
    return api.anonymous(Authorization=f"Bearer {credential}")


async def test_a_key_is_as_good_as_a_token_on_every_door(api: Api, embedded: Embedded) -> None:
    alice = by(api, await embedded.key(api))
    bob = await api.user("bob")
    for _ in range(4):
        api.model.then("Hello")
    assert (await alice.get("/api/me")).json()["username"] == "alice"
    thread = (await ask(alice))["thread_id"]
    assert (await alice.get(f"/api/threads/{thread}/messages")).status_code == 200
    problem_of(await bob.get(f"/api/threads/{thread}/messages"), 404, "not_found")
    answer = await alice.post(PATH, json=request("threads.create", input=asked()))
    assert (answer.status_code, "Hello" in answer.text) == (200, True)
    async with served(api) as door:
        phone, tablet = await door.connect("phone", "key_alice"), await door.connect("tablet")
        assert (await tablet.ask("auth", token="key_alice"))["type"] == "ack"
        for device in (phone, tablet):
            sent = await device.ask("chat.send", content="Hi")
            assert (await device.run_ended(sent["run_id"])).text == "Hello"


async def test_one_that_nobody_takes_is_answered_as_a_bad_token_is(api: Api, embedded: Embedded) -> None:
    await api.user("bob")
    token = (await api.anonymous().post("/token", data=credentials("bob"))).json()["access_token"]
    for bad in ("key_unknown", "something", "a.b.c", token[:-6] + "AAAAAA", "x" * 5000):
        answer = await by(api, bad).get("/api/me")
        problem_of(answer, 401, "invalid_token")
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    async with served(api) as door:
        assert await (await door.connect("phone", "key_unknown")).close_code() == 4401


async def test_a_verifier_that_is_away_is_an_outage_and_nobody_is_sent_away_for_it(
    api: Api, embedded: Embedded
) -> None:
    key = await embedded.key(api)
    embedded.keys.failure = Unavailable()
    answer = await by(api, key).get("/api/me")
    problem_of(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert (await (await api.user("bob")).get("/api/me")).status_code == 200, "by a token, and so not asked of it"


@pytest.mark.parametrize("how", ["key", "user"])
async def test_what_goes_on_with_a_key_ends_with_it_and_what_goes_on_with_another_does_not(
    api: Api, embedded: Embedded, how: str
) -> None:
    key, other = await embedded.key(api), await embedded.key(api, "bob")
    pauses = [Pause(), Pause()]
    for pause in pauses:
        api.model.then("So far", pause, " and on")
    async with served(api) as door:
        phone, unharmed = await door.connect("phone", key), await door.connect("phone", other)
        await phone.ask("ping")
        await unharmed.ask("ping")
        body = said(stream=True)
        streams = []
        for credential, pause in zip((key, other), pauses, strict=True):
            client = by(api, credential)
            streams.append(asyncio.ensure_future(client.post("/api/chat/protected", json=body)))
            await pause.reached()
        await settle()
        if how == "key":
            embedded.keys.revoke(key)
        else:
            await api.container.accounts().set_disabled("alice", True)
        await embedded.clock.advance(IN_TIME_S)
        ended = await asyncio.wait_for(streams[0], 5)
        assert [f.data["text"] for f in frames_of(ended.text) if f.event == "message.delta"] == ["So far"]
        assert await phone.close_code() == 4401
        assert (await unharmed.ask("ping"))["type"] == "pong"
        pauses[1].go_on()
        whole = await asyncio.wait_for(streams[1], 5)
        assert [f.data["text"] for f in frames_of(whole.text) if f.event == "message.delta"] == ["So far", " and on"]
        runs = embedded.store.runs._state.runs.values()
        assert sorted(record.run.status for record in runs) == ["cancelled", "completed"]
    problem_of(await by(api, key).get("/api/me"), 401, "invalid_token")


async def test_a_new_password_leaves_a_key_and_what_goes_on_with_it_alone(api: Api, embedded: Embedded) -> None:
    key = await embedded.key(api)
    async with served(api) as door:
        phone = await door.connect("phone", key)
        await phone.ask("ping")
        await api.container.accounts().set_password("alice", PASSWORD)
        await embedded.clock.advance(60)
        assert (await phone.ask("ping"))["type"] == "pong", "nor does it run out"
    assert (await (await api.sign_in("alice")).get("/api/me")).json()["username"] == "alice"


async def test_a_key_that_runs_out_ends_its_socket_in_time(api: Api, embedded: Embedded) -> None:
    key = await embedded.key(api)
    embedded.keys.expires_at = embedded.clock.now() + timedelta(seconds=60)
    async with served(api) as door:
        phone = await door.connect("phone", key)
        await embedded.clock.advance(59)
        assert (await phone.ask("ping"))["type"] == "pong"
        await embedded.clock.advance(4)
        assert await phone.close_code() == 4401


async def test_a_user_without_a_password_is_refused_as_an_unknown_one_is(api: Api, embedded: Embedded) -> None:
    await embedded.key(api)
    client = api.anonymous(**{"X-Request-ID": "same"})
    answers = [await client.post("/token", data=credentials(name)) for name in ("alice", "nobody")]
    problem_of(answers[0], 401, "invalid_grant", "error")
    assert answers[0].content == answers[1].content
    assert answers[0].headers.multi_items() == answers[1].headers.multi_items()
