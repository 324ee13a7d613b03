"""A connection lives as long as its token, and no longer than its user."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.identity import Scope
from chatorch.ports.tokens import Claims
from tests.support.api import ask, in_memory, running_api
from tests.support.eventually import eventually
from tests.support.fakes import FakeClock
from tests.support.ws import served, token_of


class Timed:
    """An application whose time the test moves, on a store that it can switch off."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore()
        swapped = {"clock": self.clock, **in_memory(self.store)}
        self.running = running_api(swapped=swapped, database_url="sqlite:///nowhere.db")

    async def __aenter__(self) -> "Timed":
        self.api = await self.running.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.running.__aexit__(None, None, None)

    def token(self, user_id: str, seconds: float, scopes: frozenset[Scope] = frozenset({Scope.CHAT})) -> str:
        now = self.clock.now()
        claims = Claims(user_id, scopes, "tok_1", now, now + timedelta(seconds=seconds))
        return self.api.container.tokens().issue(claims)


async def id_of(client: httpx.AsyncClient) -> str:
    return (await client.get("/api/me")).json()["user_id"]


async def test_when_the_token_runs_out_the_connection_is_closed_within_seconds():
    async with Timed() as timed, served(timed.api) as door:
        alice = await id_of(await timed.api.user("alice"))
        phone = await door.connect("phone", timed.token(alice, 60))
        tablet = await door.connect("tablet", timed.token(alice, 600))
        await phone.ask("ping")
        await timed.clock.advance(59)
        assert (await phone.ask("ping"))["type"] == "pong"
        await timed.clock.advance(4)
        assert await phone.close_code() == 4401
        assert (await tablet.ask("ping"))["type"] == "pong"


async def test_another_token_of_the_same_user_keeps_it_open_and_its_run_too():
    async with Timed() as timed, served(timed.api) as door:
        alice = await id_of(await timed.api.user("alice"))
        phone = await door.connect("phone", timed.token(alice, 60))
        assert await phone.ask("auth", id="a", token=timed.token(alice, 600)) == {"type": "ack", "id": "a"}
        await timed.clock.advance(100)
        assert (await phone.ask("ping"))["type"] == "pong"
        await timed.clock.advance(504)
        assert await phone.close_code() == 4401


async def test_another_users_token_closes_it_and_so_does_a_wrong_one():
    async with Timed() as timed, served(timed.api) as door:
        alice, bob = await id_of(await timed.api.user("alice")), await id_of(await timed.api.user("bob"))
        for token, code in (
            (timed.token(bob, 60), 4403),
            (timed.token(alice, 60, frozenset({Scope.ADMIN})), 4403),
            ("nonsense", 4401),
            (timed.token(alice, -60), 4401),
        ):
            phone = await door.connect("phone", timed.token(alice, 60))
            await phone.send("auth", id="a", token=token)
            assert await phone.close_code() == code


async def test_while_the_store_is_away_a_new_token_is_an_error_and_nobody_is_closed_but_whose_time_is_over():
    async with Timed() as timed, served(timed.api) as door:
        alice = await id_of(await timed.api.user("alice"))
        phone = await door.connect("phone", timed.token(alice, 60))
        tablet = await door.connect("tablet", timed.token(alice, 20))
        await tablet.ask("ping")
        timed.store.available = False
        await timed.clock.advance(10)
        answer = await phone.ask("auth", token=timed.token(alice, 600))
        assert (answer["type"], answer["code"]) == ("error", "store_unavailable")
        with pytest.raises(StoreUnavailable):
            await timed.api.container.sockets().token_expiry.check()
        await timed.clock.advance(15)
        assert await tablet.close_code() == 4401
        assert (await phone.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize("what", ["disabled", "password"])
async def test_a_user_who_is_disabled_or_has_a_new_password_is_out_within_5_s(what: str):
    async with Timed() as timed, served(timed.api) as door:
        alice, bob = await timed.api.user("alice"), await timed.api.user("bob")
        await timed.clock.advance(1)
        phone = await door.connect("phone", token_of(alice))
        other = await door.connect("phone", token_of(bob))
        await phone.ask("ping")
        if what == "disabled":
            await timed.store.users.set_disabled(await id_of(alice), True)
        else:
            await timed.store.users.set_password(await id_of(alice), "another hash", timed.clock.now())
        await timed.clock.advance(5)
        assert await phone.close_code() == 4401
        assert (await other.ask("ping"))["type"] == "pong"


async def test_who_is_told_4401_leaves_its_runs_and_does_not_stop_them():
    async with Timed() as timed, served(timed.api) as door:
        client = await timed.api.user("alice")
        phone = await door.connect("phone", timed.token(await id_of(client), 3))
        run_id = (await ask(client))["run_id"]
        await phone.until_type("run.started")
        await timed.clock.advance(5)
        assert await phone.close_code() == 4401
        assert (await client.get(f"/api/runs/{run_id}")).json()["status"] == "completed"


@pytest.mark.parametrize(("how", "waits_s"), [("header", 0.2), ("first frame", 3.5)])
async def test_who_loses_access_while_waiting_to_be_let_in_is_not_let_in(how: str, waits_s: float):
    """A user's connections come in one after the other, which may take longer than a token may count."""
    async with Timed() as timed, served(timed.api) as door:
        alice = await timed.api.user("alice")
        user_id, pace = await id_of(alice), timed.api.container.sockets()._pace
        while pace.wait_s(user_id) < waits_s:
            pass
        turns = pace._turns[user_id]

        async def waits() -> bool:
            return pace._turns[user_id] > turns

        connecting = asyncio.ensure_future(door.connect("phone", token_of(alice) if how == "header" else None))
        if how == "first frame":
            phone = await connecting
            await phone.send("auth", token=token_of(alice))
        await eventually(waits)
        await timed.store.users.set_disabled(user_id, True)
        await timed.clock.advance(4)
        phone = await connecting
        assert (await phone.close_code(), phone.frames) == (4401, [])
