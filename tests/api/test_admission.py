"""A rule of somebody else's for who may open a run: asked on every door, and its words are what the client gets."""

import asyncio
from contextlib import ExitStack

import pytest
from dependency_injector import providers

from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.errors import TooManyRequests
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.rates import Buckets, Limit, Rate
from chatorch.entrypoints.container import Container
from chatorch.ports.admission import AdmissionRule, RunRequest
from tests.support.api import Api, Apis, ask, asking, done, problem_of, said
from tests.support.fakes import Pause
from tests.support.widget import PATH, request
from tests.support.widget import said as asked
from tests.support.ws import served


class UserRate(AdmissionRule):
    """So many runs in a minute a user."""

    def __init__(self, limit: int, most: int | None = None) -> None:
        self._buckets = Buckets(Rate(limit, 60))
        self._cap = LiveRunCap(most) if most is not None else None

    async def admit(self, principal: Principal, request: RunRequest, place: ExitStack) -> LiveRunCap | None:
        if wait_s := self._buckets.room_in(principal.user_id, 0):
            raise TooManyRequests("Only so many a minute.", limit=Limit("user-requests", 2, wait_s, 60))
        self._buckets.spend(principal.user_id, 0)
        return self._cap


async def started(apis: Apis, rule: AdmissionRule, **settings: object) -> Api:
    def adapt(container: Container) -> None:
        container.admission_rules.add_args(providers.Object(rule))

    return await apis.start(adapt=adapt, chatkit_server=True, **settings)


async def test_every_door_asks_it_and_tells_what_it_says(apis: Apis) -> None:
    api = await started(apis, UserRate(2))
    alice, bob = await api.user("alice"), await api.user("bob")
    run_id = (await ask(alice))["run_id"]
    await ask(alice)
    refused = [
        await alice.post("/api/chat/protected", json=said()),
        await alice.post("/api/chat/protected", json=said(stream=True)),
        await alice.post(f"/api/runs/{run_id}/retry", json={}),
        await alice.post(PATH, json=request("threads.create", input=asked())),
    ]
    for answer in refused:
        assert problem_of(answer, 429, "too_many_requests")["detail"] == "Only so many a minute."
        assert answer.headers["Retry-After"] == "30"
        assert answer.headers["RateLimit"] == '"user-requests";r=0;t=30'
    async with served(api) as door:
        phone = await door.connect("phone", alice.headers["Authorization"].removeprefix("Bearer "))
        frame = await phone.ask("chat.send", content="Hi")
        assert (frame["type"], frame["code"]) == ("error", "too_many_requests")
    await ask(bob)
    assert len((await alice.get("/api/threads")).json()["data"]) == 2, "nothing was stored for who was refused"


@pytest.mark.parametrize(("ours", "theirs"), [(8, 1), (1, 8)])
async def test_its_cap_stands_beside_ours_and_the_tighter_one_counts(apis: Apis, ours: int, theirs: int) -> None:
    api = await started(apis, UserRate(100, theirs), max_live_runs_per_user=ours)
    alice = await api.user("alice")
    pause = Pause()
    api.model.then("Hel", pause)
    async with asking(alice) as first:
        await pause.reached()
        problem_of(await alice.post("/api/chat/protected", json=said()), 429, "too_many_runs")
        pause.go_on()
        assert (await done(first)).status_code == 200
    await ask(alice)


async def test_guests_are_asked_for_too_beside_their_own_limits(apis: Apis) -> None:
    api = await started(apis, UserRate(1), anonymous_chat=True, guest_requests_per_minute=2)
    for status in (200, 200, 429):
        assert (await api.anonymous().post("/api/chat", json=said())).status_code == status


@pytest.mark.parametrize("setting", ["max_live_guest_runs", "max_live_guest_runs_per_address"])
async def test_who_is_refused_reads_which_setting_it_was(apis: Apis, setting: str) -> None:
    api = await apis.start(anonymous_chat=True, max_answer_chars=4, **{setting: 1})
    pause = Pause()
    api.model.then("Hel", pause, "lo")
    asking = asyncio.ensure_future(api.anonymous().post("/api/chat", json=said(stream=True)))
    await pause.reached()
    refused = problem_of(await api.anonymous().post("/api/chat", json=said()), 429, "too_many_runs")
    assert refused["detail"].endswith(f"; see CHATORCH_{setting.upper()}.")
    pause.go_on()
    assert "The answer is longer than CHATORCH_MAX_ANSWER_CHARS allows." in (await done(asking)).text
