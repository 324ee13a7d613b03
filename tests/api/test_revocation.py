"""Who is disabled, or gets a new password, loses what goes on: streams, waiting requests and runs. Others nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.identity import User, UserId
from chatorch.domain.model.run import Run
from tests.support.ag_ui import Client
from tests.support.ag_ui_door import DOOR
from tests.support.ag_ui_door import asked as hello
from tests.support.api import (
    PASSWORD,
    Api,
    asking,
    done,
    frames_of,
    in_memory,
    newest_run,
    problem_of,
    running_api,
    said,
)
from tests.support.fakes import FakeClock, Pause, settle
from tests.support.ui_socket import user_message
from tests.support.widget import PATH, request
from tests.support.widget import said as asked

CHAT = "/api/chat/protected"
IN_TIME_S = 4.9


class CountingStore(MemoryStore):
    """Tells how often many users were read at once."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[set[UserId]] = []
        by_ids = self.users.by_ids

        async def counted(user_ids) -> dict[UserId, User]:
            self.looks.append(set(user_ids))
            return await by_ids(user_ids)

        self.users.by_ids = counted


class Timed:
    """Applications that share a store and a clock, as workers do."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = CountingStore()

    @asynccontextmanager
    async def worker(self, **settings: object) -> AsyncIterator[Api]:
        swapped = {"clock": self.clock, **in_memory(self.store)}
        async with running_api(swapped=swapped, database_url="sqlite:///nowhere.db", **settings) as api:
            yield api

    def run(self, run_id: str) -> Run:
        return self.store.runs._state.runs[run_id].run

    @property
    def live(self) -> list[str]:
        return list(self.store.runs._state.live)

    async def shut_out(self, api: Api, how: str, username: str = "alice") -> None:
        if how == "disabled":
            await api.container.accounts().set_disabled(username, True)
        else:
            await api.container.accounts().set_password(username, "another password")


@pytest.fixture
def timed() -> Timed:
    return Timed()


async def until_asked(client: httpx.AsyncClient, path: str, **more: object) -> "asyncio.Task[httpx.Response]":
    task = asyncio.ensure_future(client.request("POST" if "json" in more else "GET", path, **more))
    await settle()
    return task


def texts(answer: httpx.Response) -> list[str]:
    return [frame.data["text"] for frame in frames_of(answer.text) if frame.event == "message.delta"]


@pytest.mark.parametrize("how", ["disabled", "password"])
async def test_streams_and_waiting_requests_and_the_run_itself_end_within_5_s(timed: Timed, how: str):
    async with timed.worker() as api, timed.worker() as other:
        alice, bob = await api.user("alice"), await api.user("bob")
        there = await other.sign_in("alice")
        pauses = [Pause(), Pause()]
        for pause in pauses:
            api.model.then("So far", pause, " and on")
        async with asking(alice, headers={"Idempotency-Key": "k"}) as waiting, asking(bob) as unharmed:
            await pauses[0].reached()
            await pauses[1].reached()
            run_id = await newest_run(alice)
            ends = [await until_asked(client, f"/api/runs/{run_id}/events") for client in (alice, there)]
            again = await until_asked(there, CHAT, json=said(), headers={"Idempotency-Key": "k"})
            await timed.clock.advance(1)
            await timed.shut_out(other, how)
            await timed.clock.advance(IN_TIME_S)
            assert [texts(await done(end)) for end in ends] == [["So far"], ["So far"]]
            for answer in (await done(waiting), await done(again)):
                problem_of(answer, 401, "invalid_token")
                assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
            assert api.model.calls[0].closed
            run = timed.run(run_id)
            assert (run.status, run.text, run.outcome.cancel_reason) == ("cancelled", "So far", "user")
            pauses[1].go_on()
            assert (await done(unharmed)).json()["response"] == "So far and on"


async def test_what_nobody_follows_ends_too_and_what_the_new_password_began_goes_on(timed: Timed):
    async with timed.worker(detach_grace_s=600) as api:
        alice = await api.user("alice")
        pauses = [Pause(), Pause()]
        for pause in pauses:
            api.model.then("So far", pause, " and on")
        async with asking(alice):
            await pauses[0].reached()
            left = await newest_run(alice)
        await timed.clock.advance(10)
        assert timed.live == [left]
        await timed.shut_out(api, "password")
        again = await api.sign_in("alice", "another password")
        async with asking(again) as response:
            await pauses[1].reached()
            await timed.clock.advance(IN_TIME_S)
            assert timed.run(left).status == "cancelled"
            pauses[1].go_on()
            assert (await done(response)).json()["response"] == "So far and on"


async def test_what_was_begun_while_the_change_was_not_yet_noticed_ends_in_time_too(timed: Timed):
    async with timed.worker() as api:
        alice = await api.user("alice")
        await alice.get("/api/me")
        await timed.shut_out(api, "password")
        await timed.clock.advance(2.4)
        api.model.then("So far", Pause())
        stream = await until_asked(alice, CHAT, json=said(stream=True))
        assert len(timed.live) == 1, "as late as a token of before is taken"
        await timed.clock.advance(IN_TIME_S - 2.4)
        assert texts(await done(stream)) == ["So far"]
        assert timed.live == []


async def test_a_widgets_stream_ends_and_the_response_is_whole(timed: Timed):
    async with timed.worker(chatkit_server=True) as api:
        alice = await api.user("alice")
        pause = Pause()
        api.model.then("So far", pause)
        stream = await until_asked(alice, PATH, json=request("threads.create", input=asked()))
        await pause.reached()
        await timed.shut_out(api, "disabled")
        await timed.clock.advance(IN_TIME_S)
        answer = await done(stream)
        assert answer.status_code == 200
        assert "So far" in answer.text
        assert answer.text.endswith("\n\n")
        assert timed.live == []


async def test_a_stream_of_openais_says_why_it_ends_for_it_would_be_taken_for_an_answer(timed: Timed):
    async with timed.worker() as api:
        alice = await api.user("alice")
        pause = Pause()
        api.model.then("So far", pause)
        stream = await until_asked(alice, "/v1/chat/completions", json=said(stream=True))
        await pause.reached()
        await timed.shut_out(api, "disabled")
        await timed.clock.advance(IN_TIME_S)
        *_, text, error, end = (await done(stream)).text.strip().split("\n\n")
        assert "So far" in text
        assert json.loads(error.removeprefix("data: "))["error"]["code"] == "invalid_token"
        assert end == "data: [DONE]"


async def test_a_stream_of_a_response_says_so_by_an_error_that_the_library_raises(timed: Timed):
    async with timed.worker() as api:
        alice = await api.user("alice")
        pause = Pause()
        api.model.then("So far", pause)
        stream = await until_asked(alice, "/v1/responses", json={"input": "Hello", "stream": True})
        await pause.reached()
        await timed.shut_out(api, "disabled")
        await timed.clock.advance(IN_TIME_S)
        *_, text, error = (await done(stream)).text.strip().split("\n\n")
        assert "So " in text
        name, _, data = error.partition("\n")
        assert name == "event: error"
        assert json.loads(data.removeprefix("data: "))["error"]["code"] == "invalid_token"


async def test_a_stream_of_ag_uis_says_so_too(timed: Timed):
    async with timed.worker() as api:
        alice = await api.user("alice")
        pause = Pause()
        api.model.then("So far", pause)
        stream = await until_asked(alice, DOOR, json=hello())
        await pause.reached()
        await timed.shut_out(api, "disabled")
        await timed.clock.advance(IN_TIME_S)
        page = Client().take((await done(stream)).content)
        assert [message["content"] for message in page.messages] == ["So far"]
        assert page.ended is not None
        assert (page.ended["type"], page.ended["code"]) == ("RUN_ERROR", "invalid_token")


async def test_a_token_that_runs_out_ends_neither_its_stream_nor_its_run(timed: Timed):
    async with timed.worker(access_token_life_s=60) as api:
        alice = await api.user("alice")
        pause = Pause()
        api.model.then("So far", pause, " and on")
        stream = await until_asked(alice, CHAT, json=said(stream=True))
        await pause.reached()
        await timed.clock.advance(200)
        problem_of(await alice.get("/api/me"), 401, "invalid_token")
        pause.go_on()
        assert texts(await done(stream)) == ["So far", " and on"]


async def test_guests_are_left_alone(timed: Timed):
    async with timed.worker(anonymous_chat=True) as api:
        pause = Pause()
        api.model.then("So far", pause, " and on")
        stream = await until_asked(api.anonymous(), "/api/chat", json=said(stream=True))
        await pause.reached()
        await timed.clock.advance(20)
        pause.go_on()
        assert texts(await done(stream)) == ["So far", " and on"]
        assert not timed.store.looks


async def test_while_the_store_is_away_nobody_is_sent_away_and_afterwards_who_should_be(timed: Timed):
    async with timed.worker() as api:
        alice = await api.user("alice")
        pause = Pause()
        api.model.then("So far", pause)
        stream = await until_asked(alice, CHAT, json=said(stream=True))
        await pause.reached()
        await timed.shut_out(api, "disabled")
        timed.store.available = False
        await timed.clock.advance(20)
        assert not stream.done()
        timed.store.available = True
        await timed.clock.advance(IN_TIME_S)
        await done(stream)


async def test_a_look_is_one_question_for_all_and_nothing_is_asked_where_nothing_goes_on(timed: Timed):
    async with timed.worker(max_live_runs_per_user=50) as api:
        await timed.clock.advance(10)
        assert timed.store.looks == []
        users = [await api.user(f"user{number}", PASSWORD) for number in range(3)]
        tasks, pauses = [], []
        for user in users:
            for _ in range(4):
                pauses.append(Pause())
                api.model.then("So far", pauses[-1])
                tasks.append(await until_asked(user, CHAT, json=said(stream=True)))
                await pauses[-1].reached()
        await timed.clock.advance(2.1)
        assert [len(look) for look in timed.store.looks] == [3]
        for pause in pauses:
            pause.go_on()
        await asyncio.gather(*tasks)
        await timed.clock.advance(4)
        assert len(timed.store.looks) <= 2


async def test_a_stream_of_the_ai_sdks_says_so_too(timed: Timed):
    async with timed.worker() as api:
        alice = await api.user("alice")
        pause = Pause()
        api.model.then("So far", pause)
        stream = await until_asked(alice, "/api/ai-sdk", json={"id": "chat", "messages": [user_message("Hi")]})
        await pause.reached()
        await timed.shut_out(api, "disabled")
        await timed.clock.advance(IN_TIME_S)
        *_, text, error, end = (await done(stream)).text.strip().split("\n\n")
        assert "So far" in text
        assert json.loads(error.removeprefix("data: "))["type"] == "error"
        assert end == "data: [DONE]"
