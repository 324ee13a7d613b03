"""What every ledger of ChatKit sessions keeps to."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from chatorch.domain.model.chatkit_hosted.errors import SessionGone, TooManySessions
from chatorch.domain.model.chatkit_hosted.session import (
    CLAIM,
    KEPT,
    OPENING_LIMIT,
    ClientSecret,
    ClientSession,
    IssuedSession,
    SessionId,
    SessionStatus,
    opening,
)
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.identity import Scope, User, UserId
from chatorch.ports.chatkit_hosted.session_store import Activation, Begun
from tests.support.stores import ANN, BOB, NOW, Stores, at

LIFE = timedelta(seconds=600)


def session(name: str = "a", user: UserId = ANN) -> ClientSession:
    return opening(SessionId(f"cks_{name}"), user, "wf_one", NOW, LIFE)


def issued(name: str = "a") -> IssuedSession:
    return IssuedSession(f"cksess_{name}", ClientSecret(f"ek_{name}"), at(600))


def hash_of(name: str) -> str:
    return ClientSecret(f"ek_{name}").hashed()


async def active(stores: Stores, name: str = "a", user: UserId = ANN) -> ClientSession:
    await stores.sessions.begin(session(name, user))
    return (await stores.sessions.activate(SessionId(f"cks_{name}"), issued(name), NOW)).session


async def status(stores: Stores, name: str = "a", user: UserId = ANN) -> SessionStatus:
    found = await stores.sessions.find(user, hash_of(name))
    assert found is not None
    return found.status


async def add_user(stores: Stores, user_id: UserId, *, disabled: bool) -> None:
    await stores.users.add(User(user_id, user_id, "hash", frozenset({Scope.CHAT}), disabled, NOW, NOW))


async def test_an_active_session_is_found_by_its_users_secret_exactly_as_it_was(stores: Stores) -> None:
    before = await active(stores)

    assert before == replace(
        session(),
        status=SessionStatus.ACTIVE,
        upstream_id="cksess_a",
        secret_hash=hash_of("a"),
        expires_at=at(600),
        refreshable=True,
    )
    assert await stores.sessions.find(ANN, hash_of("a")) == before


async def test_nobody_elses_and_no_other_secret_finds_it(stores: Stores) -> None:
    await active(stores)

    assert await stores.sessions.find(BOB, hash_of("a")) is None
    assert await stores.sessions.find(ANN, hash_of("b")) is None


async def test_a_session_that_is_being_opened_has_no_secret_to_be_found_by(stores: Stores) -> None:
    await stores.sessions.begin(session())

    assert await stores.sessions.find(ANN, hash_of("a")) is None


async def test_what_is_not_there_cannot_be_activated(stores: Stores) -> None:
    with pytest.raises(NotFound):
        await stores.sessions.activate(SessionId("cks_x"), issued(), NOW)


async def exchange(stores: Stores, before: str, name: str, seconds: float = 0) -> Activation:
    await stores.sessions.begin(session(name), SessionId(f"cks_{before}"))
    given = SessionId(f"cks_{name}"), issued(name), at(seconds), SessionId(f"cks_{before}")
    return await stores.sessions.activate(*given, sealed_secret=f"sealed {name}")


async def test_activating_the_next_ends_the_one_before_once(stores: Stores) -> None:
    await active(stores)

    first = await exchange(stores, "a", "b", 1)
    await stores.sessions.settle(SessionId("cks_b"), SessionStatus.CANCELLED)
    second = await exchange(stores, "a", "c", 2)

    assert first.ended is not None
    assert (first.ended.id, first.ended.status, first.ended.upstream_id) == ("cks_a", "cancelling", "cksess_a")
    assert second.ended is None
    assert (first.session.status, second.session.status) == (SessionStatus.ACTIVE, SessionStatus.ACTIVE)


async def test_of_many_that_replace_it_at_once_one_does_and_the_others_hear_which(stores: Stores) -> None:
    await active(stores)

    begun = await asyncio.gather(
        *(stores.sessions.begin(session(f"n{i}"), SessionId("cks_a"), limit=20) for i in range(8))
    )

    (winner,) = [one.session.id for one in begun if not one.joined]
    assert {(one.session.id, one.session.status, one.session.shared) for one in begun if one.joined} == {
        (winner, SessionStatus.OPENING, True)
    }


async def test_what_it_was_exchanged_for_is_joined_when_it_is_there_with_what_was_sealed(stores: Stores) -> None:
    await active(stores)
    await exchange(stores, "a", "b")

    begun = await stores.sessions.begin(session("c"), SessionId("cks_a"))

    assert (begun.joined, begun.session.id, begun.session.sealed_secret) == (True, "cks_b", "sealed b")
    assert begun.session.status is SessionStatus.ACTIVE


@pytest.mark.parametrize("end", ["refused", "lost", "cancelled", "revoked", "unsealed"])
async def test_what_came_to_nothing_is_not_joined(stores: Stores, end: str) -> None:
    await active(stores)
    await stores.sessions.begin(session("b"), SessionId("cks_a"))
    if end == "revoked":
        await stores.sessions.revoke(ANN, SessionId("cks_b"), at(1))
    elif end == "unsealed":  # by the release before
        await stores.sessions.activate(SessionId("cks_b"), issued("b"), at(1), SessionId("cks_a"))
    else:
        await stores.sessions.settle(SessionId("cks_b"), SessionStatus(end))

    begun = await stores.sessions.begin(session("c"), SessionId("cks_a"))

    assert (begun.joined, begun.session.id) == (False, "cks_c")


@pytest.mark.parametrize("shared", [False, True])
async def test_a_session_is_given_up_unless_somebody_else_waits_for_it(stores: Stores, shared: bool) -> None:
    await active(stores)
    await exchange(stores, "a", "b")
    if shared:
        await stores.sessions.begin(session("c"), SessionId("cks_a"))

    ended = await stores.sessions.revoke(ANN, SessionId("cks_b"), at(1), unless_shared=True)

    assert [one.id for one in ended] == ([] if shared else ["cks_b"])
    assert await status(stores, "b") is (SessionStatus.ACTIVE if shared else SessionStatus.CANCELLING)


async def test_the_oldest_makes_room_and_what_is_replaced_needs_none(stores: Stores) -> None:
    for number, name in enumerate("abc"):
        before = replace(session(name), created_at=at(100 * number))
        await stores.sessions.begin(before, limit=3)
        await stores.sessions.activate(before.id, issued(name), NOW)
    await active(stores, "other", BOB)

    replacing = await stores.sessions.begin(replace(session("d"), created_at=at(300)), SessionId("cks_b"), limit=3)
    another = await stores.sessions.begin(replace(session("e"), created_at=at(400)), limit=3)

    assert (replacing.ended, [one.id for one in another.ended]) == ((), ["cks_a"])
    assert another.ended[0].retry_at == at(400) + CLAIM
    assert await status(stores, "a") is SessionStatus.CANCELLING
    assert await status(stores, "other", BOB) is SessionStatus.ACTIVE
    with pytest.raises(SessionGone):
        await stores.sessions.begin(session("f"), SessionId("cks_a"))


async def test_too_many_in_a_minute_are_refused_with_when_to_come_back_and_nothing_is_written(stores: Stores) -> None:
    for number in range(3):
        await stores.sessions.begin(replace(session(f"n{number}"), created_at=at(10 * number)), limit=3)
        await stores.sessions.settle(SessionId(f"cks_n{number}"), SessionStatus.REFUSED)

    with pytest.raises(TooManySessions) as refused:
        await stores.sessions.begin(replace(session("x"), created_at=at(25)), limit=3)

    assert refused.value.retry_after == 35
    with pytest.raises(NotFound):
        await stores.sessions.activate(SessionId("cks_x"), issued("x"), NOW)
    assert not (await stores.sessions.begin(replace(session("x"), created_at=at(61)), limit=3)).joined
    await stores.sessions.begin(replace(session("b", BOB), created_at=at(25)), limit=3)


async def test_of_many_at_once_no_more_are_begun_than_there_may_be(stores: Stores) -> None:
    begun = await asyncio.gather(
        *(stores.sessions.begin(session(f"n{number}"), limit=5) for number in range(12)), return_exceptions=True
    )

    assert sum(isinstance(one, Begun) for one in begun) == 5
    assert sum(isinstance(one, TooManySessions) for one in begun) == 7


async def test_a_replaced_session_is_replaced_again_but_a_revoked_one_is_not(stores: Stores) -> None:
    await active(stores)
    await exchange(stores, "a", "b")
    await stores.sessions.settle(SessionId("cks_b"), SessionStatus.CANCELLED)
    await stores.sessions.begin(session("c"), SessionId("cks_a"))

    await stores.sessions.revoke(ANN, None, at(1))

    for before in ("cks_a", "cks_b", "cks_nowhere"):
        with pytest.raises(SessionGone):
            await stores.sessions.begin(session("d"), SessionId(before))


async def test_revoking_one_returns_it_to_be_cancelled_and_leaves_the_others(stores: Stores) -> None:
    await active(stores, "a")
    await active(stores, "b")

    (ended,) = await stores.sessions.revoke(ANN, SessionId("cks_a"), at(1))

    assert (ended.id, ended.status, ended.refreshable) == ("cks_a", SessionStatus.CANCELLING, False)
    assert await status(stores, "b") is SessionStatus.ACTIVE


async def test_revoking_what_is_somebody_elses_or_nowhere_is_not_found(stores: Stores) -> None:
    before = await active(stores)

    for user, given in ((BOB, "cks_a"), (ANN, "cks_x"), (ANN, "é"), (ANN, "\0"), (ANN, "\ud800"), (ANN, "")):
        with pytest.raises(NotFound):
            await stores.sessions.revoke(user, SessionId(given), at(1))

    assert await stores.sessions.revoke(BOB, None, at(1)) == ()
    assert await stores.sessions.find(ANN, hash_of("a")) == before


async def test_a_session_revoked_while_it_was_opened_is_to_be_cancelled_when_it_comes(stores: Stores) -> None:
    await stores.sessions.begin(session())
    assert await stores.sessions.revoke(ANN, None, at(1)) == ()

    activation = await stores.sessions.activate(SessionId("cks_a"), issued(), at(2))

    assert (activation.session.status, activation.session.refreshable) == (SessionStatus.CANCELLING, False)
    await stores.sessions.settle(SessionId("cks_a"), SessionStatus.CANCELLED)
    assert await status(stores) is SessionStatus.CANCELLED


async def test_a_session_whose_end_is_settled_stays_so(stores: Stores) -> None:
    await active(stores)
    await stores.sessions.revoke(ANN, None, at(1))
    await stores.sessions.settle(SessionId("cks_a"), SessionStatus.CANCELLED)

    await stores.sessions.settle(SessionId("cks_a"), SessionStatus.LOST)
    await stores.sessions.settle(SessionId("cks_a"), SessionStatus.REFUSED)
    await stores.sessions.settle(SessionId("cks_nowhere"), SessionStatus.CANCELLED)

    assert await status(stores) is SessionStatus.CANCELLED
    assert await stores.sessions.revoke(ANN, SessionId("cks_a"), at(2)) == ()


async def test_a_sweep_gives_out_what_could_not_be_cancelled_after_a_while_and_once(stores: Stores) -> None:
    await active(stores)
    await stores.sessions.revoke(ANN, None, NOW)

    assert await stores.sessions.sweep(NOW + CLAIM / 2) == ()
    swept = await asyncio.gather(*(stores.sessions.sweep(NOW + CLAIM) for _ in range(8)))

    assert [one.id for found in swept for one in found] == ["cks_a"]
    assert [one.id for one in await stores.sessions.sweep(NOW + 2 * CLAIM)] == ["cks_a"]


async def test_a_sweep_expires_what_is_over_and_later_forgets_it(stores: Stores) -> None:
    await active(stores, "a")
    await active(stores, "b")
    await stores.sessions.revoke(ANN, SessionId("cks_b"), NOW)

    assert await stores.sessions.sweep(at(600)) == ()
    expired = [await stores.sessions.find(ANN, hash_of(name)) for name in ("a", "b")]
    assert [(one.status, one.refreshable) for one in expired if one] == [("expired", True), ("expired", False)]

    await stores.sessions.sweep(at(600) + KEPT - timedelta(seconds=1))
    assert await status(stores) is SessionStatus.EXPIRED
    await stores.sessions.sweep(at(600) + KEPT)
    assert await stores.sessions.find(ANN, hash_of("a")) is None


async def test_a_sweep_takes_what_was_left_opening_for_lost_and_later_for_expired(stores: Stores) -> None:
    await stores.sessions.begin(session())
    await stores.sessions.sweep(NOW + OPENING_LIMIT)

    activation = await stores.sessions.activate(SessionId("cks_a"), issued(), NOW + OPENING_LIMIT)

    assert activation.session.status is SessionStatus.CANCELLING


async def test_a_sweep_gives_out_the_sessions_of_disabled_users_and_of_nobody_else(stores: Stores) -> None:
    await add_user(stores, ANN, disabled=False)
    await add_user(stores, BOB, disabled=False)
    await active(stores, "a", ANN)
    await active(stores, "b", BOB)
    await active(stores, "c", BOB)
    assert await stores.sessions.sweep(at(1)) == ()
    await stores.users.set_disabled(BOB, True)

    swept = await stores.sessions.sweep(at(2))

    assert {one.id for one in swept} == {"cks_b", "cks_c"}
    assert await stores.sessions.sweep(at(3)) == ()
    assert await status(stores, "a") is SessionStatus.ACTIVE


async def test_a_sweep_gives_out_what_was_opened_before_its_user_got_a_new_password(stores: Stores) -> None:
    await add_user(stores, ANN, disabled=False)
    await stores.users.set_password(ANN, "another hash", NOW)
    ann = await stores.users.by_id(ANN)
    assert ann is not None
    for name, generation in (("old", 0), ("new", ann.generation), ("unknown", None)):
        await stores.sessions.begin(replace(session(name), generation=generation))
        await stores.sessions.activate(SessionId(f"cks_{name}"), issued(name), NOW)

    swept = await stores.sessions.sweep(at(2))

    assert [one.id for one in swept] == ["cks_old"]
    assert await stores.sessions.sweep(at(3)) == ()


async def test_sweeps_at_once_give_out_each_session_once(stores: Stores) -> None:
    await add_user(stores, ANN, disabled=False)
    for i in range(20):
        await active(stores, f"s{i}")
    await stores.users.set_disabled(ANN, True)

    swept = await asyncio.gather(*(stores.sessions.sweep(at(1)) for _ in range(4)))

    given = [one.id for found in swept for one in found]
    assert len(given) == len(set(given)) == 20


async def test_an_opening_and_a_sign_out_at_once_leave_no_session(stores: Stores) -> None:
    for i in range(20):
        old, new = f"old{i}", f"new{i}"
        await active(stores, old)
        begun, ended = await asyncio.gather(
            stores.sessions.begin(session(new), SessionId(f"cks_{old}")),
            stores.sessions.revoke(ANN, None, at(1)),
            return_exceptions=True,
        )
        assert [one.id for one in ended] == [f"cks_{old}"]
        if isinstance(begun, Begun):
            assert (await stores.sessions.activate(SessionId(f"cks_{new}"), issued(new), at(2))).session.status is (
                SessionStatus.CANCELLING
            )
            await stores.sessions.settle(SessionId(f"cks_{new}"), SessionStatus.CANCELLED)
        else:
            assert isinstance(begun, SessionGone)
        await stores.sessions.settle(SessionId(f"cks_{old}"), SessionStatus.CANCELLED)
