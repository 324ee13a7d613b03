"""What every user store keeps to."""

import asyncio
from dataclasses import replace

import pytest

from chatorch.domain.model.errors import UsernameTaken
from chatorch.domain.model.identity import GENERATION_STEP, Scope, User, UserId
from tests.support.stores import ANN, BOB, NOW, Stores, at


def user(user_id: UserId = ANN, username: str = "ann") -> User:
    return User(
        id=user_id,
        username=username,
        password_hash="$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA",
        scopes=frozenset({Scope.CHAT, Scope.ADMIN}),
        disabled=False,
        created_at=NOW,
        password_changed_at=at(-1),
    )


async def test_an_added_user_is_found_by_name_and_by_id_exactly_as_it_was(stores: Stores) -> None:
    await stores.users.add(user())

    assert await stores.users.by_username("ann") == user()
    assert await stores.users.by_id(ANN) == user()


async def test_a_user_without_scopes_stays_without(stores: Stores) -> None:
    await stores.users.add(replace(user(), scopes=frozenset()))

    assert await stores.users.by_id(ANN) == replace(user(), scopes=frozenset())


async def test_many_are_read_at_once_without_those_who_are_not_there(stores: Stores) -> None:
    await stores.users.add(user())
    await stores.users.add(user(BOB, "bob"))
    nobody = [UserId(f"usr_{number}") for number in range(2500)]

    found = await stores.users.by_ids({ANN, BOB, *nobody})

    assert found == {ANN: user(), BOB: user(BOB, "bob")}
    assert await stores.users.by_ids([]) == {}


async def test_nobody_is_found_where_nobody_is(stores: Stores) -> None:
    assert await stores.users.by_username("ann") is None
    assert await stores.users.by_id(ANN) is None
    assert list(await stores.users.list_all()) == []


async def test_a_name_is_given_out_once(stores: Stores) -> None:
    await stores.users.add(user())

    with pytest.raises(UsernameTaken):
        await stores.users.add(user(BOB, "ann"))

    assert await stores.users.by_id(BOB) is None
    assert await stores.users.by_username("ann") == user()


async def test_a_disabled_user_keeps_the_name(stores: Stores) -> None:
    await stores.users.add(user())
    await stores.users.set_disabled(ANN, True)

    with pytest.raises(UsernameTaken):
        await stores.users.add(user(BOB, "ann"))


async def test_users_are_listed_by_name_in_the_order_of_code_points(stores: Stores) -> None:
    names = ["émile", "a b", "ann", "zoë", "9", "a-b", "ab", "名前"]
    for index, name in enumerate(names):
        await stores.users.add(user(UserId(f"usr_{index}"), name))

    assert [found.username for found in await stores.users.list_all()] == sorted(names)


async def test_disabling_raises_the_generation_and_enabling_changes_nothing_else(stores: Stores) -> None:
    await stores.users.add(user())

    await stores.users.set_disabled(ANN, True)
    raised = (await stores.users.by_id(ANN)).generation
    assert raised > 0
    assert await stores.users.by_id(ANN) == replace(user(), disabled=True, generation=raised)

    await stores.users.set_disabled(ANN, False)
    assert await stores.users.by_id(ANN) == replace(user(), generation=raised)


async def test_which_tools_a_user_may_use_is_kept(stores: Stores) -> None:
    await stores.users.add(replace(user(), tools=("search",)))
    for tools in (("search", "github__*"), (), None):
        await stores.users.set_tools(ANN, tools)
        assert await stores.users.by_id(ANN) == replace(user(), tools=tools)
    await stores.users.set_tools(BOB, ("search",))


async def test_a_new_password_is_kept_with_its_time_to_the_microsecond(stores: Stores) -> None:
    await stores.users.add(user())

    await stores.users.set_password(ANN, "$argon2id$another", at(0.000001))

    found = await stores.users.by_id(ANN)
    expected = replace(user(), password_hash="$argon2id$another", password_changed_at=at(0.000001))
    assert found == replace(expected, generation=found.generation)


async def test_of_many_changes_at_once_each_raises_the_generation(stores: Stores) -> None:
    await stores.users.add(replace(user(), generation=7))
    await stores.users.add(user(BOB, "bob"))

    await asyncio.gather(
        *(stores.users.set_password(ANN, f"hash {number}", NOW) for number in range(5)),
        *(stores.users.set_disabled(ANN, True) for _ in range(5)),
    )

    found = await stores.users.by_ids([ANN, BOB])
    assert 17 <= found[ANN].generation <= 7 + 10 * GENERATION_STEP
    assert found[BOB].generation == 0


async def test_nobody_can_tell_the_next_generation_so_a_restored_store_gives_none_out_again(stores: Stores) -> None:
    """From one state, as often as a backup of it is put back."""
    users = [UserId(f"usr_{number}") for number in range(8)]
    for user_id in users:
        await stores.users.add(user(user_id, user_id))
        await stores.users.set_password(user_id, "hash", NOW)

    found = await stores.users.by_ids(users)
    assert len({one.generation for one in found.values()}) > 1


async def test_changing_somebody_who_is_not_there_does_nothing(stores: Stores) -> None:
    await stores.users.add(user())

    await stores.users.set_disabled(BOB, True)
    await stores.users.set_password(BOB, "hash", NOW)

    assert list(await stores.users.list_all()) == [user()]


async def test_a_user_without_a_password_has_none_until_one_is_set(stores: Stores) -> None:
    without = replace(user(), password_hash=None)
    await stores.users.add(without)
    assert await stores.users.by_username("ann") == without
    assert list(await stores.users.list_all()) == [without]

    await stores.users.set_disabled(ANN, True)
    assert (await stores.users.by_ids([ANN]))[ANN].password_hash is None
    await stores.users.set_password(ANN, "$argon2id$another", at(1))

    found = await stores.users.by_id(ANN)
    assert found is not None
    assert found.password_hash == "$argon2id$another"

    await stores.users.set_password(ANN, None, at(2))
    last = await stores.users.by_id(ANN)
    assert last is not None
    assert last.password_hash is None
    assert last.generation > found.generation
