"""Sessions when callers leave, stores fail and processes die."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.adapters.system import TaskSpawner, TimeOrderedIds
from chatorch.domain.model.chatkit_hosted.errors import SessionGone, WorkflowNotAllowed, WorkflowNotFound
from chatorch.domain.model.chatkit_hosted.session import (
    ClientSecret,
    ClientSession,
    IssuedSession,
    SessionId,
    SessionStatus,
)
from chatorch.domain.model.errors import Draining, StoreUnavailable, Unavailable
from chatorch.domain.model.identity import Scope, User
from chatorch.domain.model.upstream_errors import UpstreamError, UpstreamTimeout, UpstreamUnavailable
from chatorch.domain.services.chatkit_hosted.sessions import (
    ELSEWHERE_S,
    SWEEP_S,
    ChatKitOffer,
    ChatKitSessions,
    OpenedSession,
)
from chatorch.ports.chatkit_hosted.session_store import Begun
from chatorch.ports.chatkit_hosted.telemetry import SessionTelemetry
from tests.support.app import ALICE
from tests.support.chatkit import FakeChatKit
from tests.support.fakes import FakeClock, Pause, settle
from tests.support.sessions import sessions_in

OFFER = ChatKitOffer(("wf_one", "wf_two"))


class Telemetry(SessionTelemetry):
    def __init__(self) -> None:
        self.told: list[tuple[str, str | None]] = []
        self.outages: list[str] = []
        self.failures: list[str] = []

    def session(self, session: ClientSession, status: SessionStatus, error: UpstreamError | None = None) -> None:
        self.told.append((status.value, error.code if error else None))

    def failed(self, what: str, error: BaseException) -> None:
        self.failures.append(what)

    def store_unavailable(self, what: str, error: StoreUnavailable) -> None:
        self.outages.append(what)


class Worker:
    """One process: its own service and tasks, over a store and a provider that may be shared."""

    def __init__(self, other: "Worker | None" = None, offer: ChatKitOffer = OFFER) -> None:
        self.clock = other.clock if other else FakeClock()
        self.store = other.store if other else MemoryStore()
        self.chatkit = other.chatkit if other else FakeChatKit(self.clock)
        self.spawner = TaskSpawner()
        self.telemetry = Telemetry()
        self.sessions = ChatKitSessions(
            chatkit=self.chatkit,
            store=sessions_in(self.store),
            clock=self.clock,
            ids=TimeOrderedIds(),
            spawner=self.spawner,
            telemetry=self.telemetry,
            offer=offer,
        )

    async def open(self) -> OpenedSession:
        return await self.sessions.open(ALICE)

    def pause(self) -> Pause:
        pause = Pause()
        self.chatkit.creating.append(pause)
        return pause

    def rows(self) -> list[SessionStatus]:
        return [session.status for session in sessions_in(self.store)._sessions.values()]


@pytest.fixture
def worker() -> Worker:
    return Worker()


async def leave(*callers: "asyncio.Task[OpenedSession]") -> None:
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)


async def test_a_session_whose_caller_left_is_cancelled(worker: Worker) -> None:
    pause = worker.pause()
    caller = asyncio.ensure_future(worker.open())
    await pause.reached()
    await leave(caller)
    assert caller.cancelled()
    pause.go_on()
    await settle()
    await settle()
    assert worker.chatkit.cancels == [1]
    assert worker.rows() == ["cancelled"]


async def test_of_two_callers_who_refresh_one_may_leave(worker: Worker) -> None:
    old = await worker.open()
    pause = worker.pause()
    callers = [asyncio.ensure_future(worker.sessions.refresh(ALICE, old.secret)) for _ in range(2)]
    await pause.reached()
    await settle()
    await leave(callers[0])
    pause.go_on()
    assert (await callers[1]).session.status is SessionStatus.ACTIVE
    await settle()
    assert worker.chatkit.cancels == [1, 0]


async def test_when_all_callers_left_the_next_still_gets_a_session_for_the_old_secret(worker: Worker) -> None:
    old = await worker.open()
    pause = worker.pause()
    callers = [asyncio.ensure_future(worker.sessions.refresh(ALICE, old.secret)) for _ in range(2)]
    await pause.reached()
    await settle()
    await leave(*callers)
    pause.go_on()
    await settle()
    await settle()
    assert worker.chatkit.cancels == [1, 1]
    assert (await worker.sessions.refresh(ALICE, old.secret)).session.status is SessionStatus.ACTIVE


async def test_a_failure_is_told_to_all_who_wait_and_the_next_tries_again(worker: Worker) -> None:
    old = await worker.open()
    worker.chatkit.creating.append(UpstreamUnavailable())
    callers = [worker.sessions.refresh(ALICE, old.secret) for _ in range(2)]
    ends = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(end) for end in ends] == [UpstreamUnavailable] * 2
    assert worker.chatkit.cancels == [0], "the old session is still good"
    assert (await worker.sessions.refresh(ALICE, old.secret)).session.status is SessionStatus.ACTIVE


@pytest.mark.parametrize(("failure", "status"), [(WorkflowNotFound(), "refused"), (UpstreamTimeout(), "lost")])
async def test_the_ledger_tells_what_there_is_from_what_there_may_be(
    worker: Worker, failure: Exception, status: str
) -> None:
    worker.chatkit.creating.append(failure)
    with pytest.raises(type(failure)):
        await worker.open()
    assert worker.rows() == [status]
    assert worker.telemetry.told == [(status, failure.code)]


async def test_a_store_that_goes_while_the_provider_answers_leaves_no_session_and_hears_of_it_later(
    worker: Worker,
) -> None:
    pause = worker.pause()
    caller = asyncio.ensure_future(worker.open())
    await pause.reached()
    worker.store.available = False
    pause.go_on()
    with pytest.raises(StoreUnavailable):
        await caller
    assert worker.chatkit.cancels == [1]
    with pytest.raises(StoreUnavailable):
        await worker.sessions.sweep()
    worker.store.available = True
    assert worker.rows() == ["opening"]
    await worker.sessions.sweep()
    assert worker.rows() == ["cancelled"]


async def test_a_store_that_is_away_does_not_hide_what_the_provider_said(worker: Worker) -> None:
    worker.chatkit.creating.append(WorkflowNotFound())
    begin = sessions_in(worker.store).begin

    async def begin_and_go(
        session: ClientSession, replaces: SessionId | None = None, *, limit: int | None = None
    ) -> Begun:
        begun = await begin(session, replaces, limit=limit)
        worker.store.available = False
        return begun

    sessions_in(worker.store).begin = begin_and_go
    with pytest.raises(WorkflowNotFound):
        await worker.open()
    assert len(worker.telemetry.outages) == 1


async def test_what_a_dead_worker_left_opening_is_lost_then_expired_then_forgotten(worker: Worker) -> None:
    pause = worker.pause()
    caller = asyncio.ensure_future(worker.open())
    await pause.reached()
    await worker.spawner.aclose(wait_s=0)
    with pytest.raises(Draining):
        await caller
    other = Worker(worker)
    seen = []
    for seconds in (59, 1, 599, 1, 86_400):
        other.clock.wall_offset += timedelta(seconds=seconds)
        await other.sessions.sweep()
        seen.append(other.rows())
    assert seen == [["opening"], ["lost"], ["lost"], ["expired"], []]


async def test_what_a_dead_worker_left_to_be_cancelled_another_cancels(worker: Worker) -> None:
    opened = await worker.open()
    await sessions_in(worker.store).revoke(ALICE.user_id, None, worker.clock.now())
    other = Worker(worker)
    await other.sessions.sweep()
    assert worker.chatkit.cancels == [0], "its worker may be at it"
    worker.clock.wall_offset += timedelta(seconds=30)
    await asyncio.gather(other.sessions.sweep(), Worker(worker).sessions.sweep(), worker.sessions.sweep())
    assert worker.chatkit.cancels == [1]
    assert worker.rows() == ["cancelled"]
    with pytest.raises(SessionGone):
        await worker.sessions.refresh(ALICE, opened.secret)


async def test_many_workers_that_keep_tidy_cancel_a_disabled_users_session_once(worker: Worker) -> None:
    user = User(ALICE.user_id, "alice", "hash", frozenset({Scope.CHAT}), False, worker.clock.now(), worker.clock.now())
    await worker.store.users.add(user)
    workers = [worker, Worker(worker), Worker(worker)]
    loops = [asyncio.ensure_future(one.sessions.keep_tidy()) for one in workers]
    await worker.clock.until_asleep(3)
    await worker.open()
    await worker.store.users.set_disabled(ALICE.user_id, True)
    await worker.clock.advance(3 * SWEEP_S)
    assert worker.chatkit.cancels == [1]
    for loop in loops:
        loop.cancel()


async def test_keeping_tidy_survives_an_outage_and_a_fault(worker: Worker) -> None:
    loop = asyncio.ensure_future(worker.sessions.keep_tidy())
    await worker.clock.until_asleep()
    worker.store.available = False
    await worker.clock.advance(SWEEP_S)
    worker.store.available = True
    await worker.clock.advance(SWEEP_S)
    assert len(worker.telemetry.outages) == 1
    assert not loop.done()
    loop.cancel()


async def test_where_chatkit_is_not_set_up_nothing_is_kept() -> None:
    async with asyncio.timeout(5):
        await Worker(offer=ChatKitOffer(missing="OPENAI_API_KEY")).sessions.keep_tidy()


async def test_a_workflow_that_is_no_longer_offered_is_not_refreshed(worker: Worker) -> None:
    opened = await worker.sessions.open(ALICE, "wf_two")
    with pytest.raises(WorkflowNotAllowed):
        await Worker(worker, ChatKitOffer(("wf_one",))).sessions.refresh(ALICE, opened.secret)


async def test_an_expired_session_is_not_cancelled_at_the_provider(worker: Worker) -> None:
    opened = await worker.open()
    worker.clock.wall_offset += timedelta(seconds=601)
    await worker.sessions.cancel(ALICE, opened.session.id)
    assert worker.chatkit.cancels == [0]


@pytest.mark.parametrize(("life", "before_end"), [(600, 120), (100, 30), (40, 20), (3600, 720)])
async def test_a_client_comes_back_well_before_the_end(life: int, before_end: int) -> None:
    worker = Worker()
    issued = IssuedSession("cksess_1", ClientSecret("ek_x"), worker.clock.now() + timedelta(seconds=life))
    opened = await worker.open()
    await sessions_in(worker.store).begin(ClientSession(
        SessionId("cks_x"), ALICE.user_id, "wf_one", SessionStatus.OPENING, worker.clock.now(), issued.expires_at,
        worker.clock.now(),
    ))  # fmt: skip
    session = (await sessions_in(worker.store).activate(SessionId("cks_x"), issued, worker.clock.now())).session
    told = OpenedSession(session, opened.secret)
    assert (session.expires_at - told.refresh_at).total_seconds() == before_end


def test_a_secret_shows_in_no_representation() -> None:
    secret = ClientSecret("ek_canary")
    for text in (repr(secret), str(secret), f"{secret}", repr(IssuedSession("a", secret, FakeClock().now()))):
        assert "canary" not in text


# -- one secret, several processes -------------------------------------------------------------------------------------


async def test_while_another_process_exchanges_a_secret_it_is_waited_for_and_both_get_the_same(worker: Worker) -> None:
    old, other = await worker.open(), Worker(worker)
    pause = worker.pause()
    first = asyncio.ensure_future(worker.sessions.refresh(ALICE, old.secret))
    await pause.reached()
    second = asyncio.ensure_future(other.sessions.refresh(ALICE, old.secret))
    await worker.clock.advance(5)
    assert not second.done()
    pause.go_on()
    one = await first
    await worker.clock.advance(1)
    another = await second
    assert (one.session.id, one.secret.reveal()) == (another.session.id, another.secret.reveal())
    await settle()
    assert worker.chatkit.cancels == [1, 0]


async def test_where_the_other_process_failed_or_gave_up_this_one_does_it(worker: Worker) -> None:
    for end in ("failed", "left"):
        old, other = await worker.open(), Worker(worker)
        pause = worker.pause()
        first = asyncio.ensure_future(worker.sessions.refresh(ALICE, old.secret))
        await pause.reached()
        if end == "failed":
            worker.chatkit.creating.insert(0, Pause())
            await worker.spawner.aclose(wait_s=0)
            worker.chatkit.creating.clear()
            await sessions_in(worker.store).settle(await the_one_opening(worker), SessionStatus.LOST)
        second = asyncio.ensure_future(other.sessions.refresh(ALICE, old.secret))
        await settle()
        if end == "left":
            await leave(first)
        pause.go_on()
        await worker.clock.advance(1)
        got = await second
        assert got.session.status is SessionStatus.ACTIVE
        assert (await sessions_in(other.store).find(ALICE.user_id, got.secret.hashed())).status is SessionStatus.ACTIVE
        await asyncio.gather(first, return_exceptions=True)


async def the_one_opening(worker: Worker) -> SessionId:
    (opening,) = [s.id for s in sessions_in(worker.store)._sessions.values() if s.status is SessionStatus.OPENING]
    return opening


async def test_a_process_that_leaves_does_not_take_away_what_another_one_gave_out(worker: Worker) -> None:
    old, other = await worker.open(), Worker(worker)
    pause = worker.pause()
    leaving = asyncio.ensure_future(worker.sessions.refresh(ALICE, old.secret))
    await pause.reached()
    staying = asyncio.ensure_future(other.sessions.refresh(ALICE, old.secret))
    await settle()
    await leave(leaving)
    pause.go_on()
    await worker.clock.advance(1)
    assert (await staying).session.status is SessionStatus.ACTIVE
    await settle()
    assert worker.chatkit.cancels == [1, 0]


async def test_another_process_that_takes_too_long_is_not_waited_for_for_ever(worker: Worker) -> None:
    old, other = await worker.open(), Worker(worker)
    pause = worker.pause()
    first = asyncio.ensure_future(worker.sessions.refresh(ALICE, old.secret))
    await pause.reached()
    second = asyncio.ensure_future(other.sessions.refresh(ALICE, old.secret))
    await worker.clock.advance(ELSEWHERE_S + 1)
    with pytest.raises(Unavailable):
        await second
    pause.go_on()
    assert (await first).secret.reveal() == (await other.sessions.refresh(ALICE, old.secret)).secret.reveal()


async def test_who_comes_late_with_an_old_secret_gets_one_that_is_not_about_to_end(worker: Worker) -> None:
    old = await worker.open()
    new = await worker.sessions.refresh(ALICE, old.secret)
    worker.clock.wall_offset += timedelta(seconds=481)
    latest = await Worker(worker).sessions.refresh(ALICE, old.secret)
    assert latest.session.id not in {old.session.id, new.session.id}
    again = [await Worker(worker).sessions.refresh(ALICE, secret) for secret in (old.secret, new.secret)]
    assert {one.session.id for one in again} == {latest.session.id}
    assert {one.secret.reveal() for one in again} == {latest.secret.reveal()}
    await settle()
    assert worker.chatkit.cancels == [1, 1, 0]


async def test_a_new_password_ends_the_sessions_of_before_within_seconds(worker: Worker) -> None:
    user = User(ALICE.user_id, "alice", "hash", frozenset({Scope.CHAT}), False, worker.clock.now(), worker.clock.now())
    await worker.store.users.add(user)
    await worker.open()
    await worker.store.users.set_password(ALICE.user_id, "another", worker.clock.now())
    now = await worker.store.users.by_id(ALICE.user_id)
    assert now is not None
    await worker.sessions.open(replace(ALICE, generation=now.generation))
    await worker.sessions.sweep()
    assert worker.chatkit.cancels == [1, 0]
