"""Accounts in memory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from secrets import randbelow

from chatorch.adapters.memory.state import State
from chatorch.domain.model.errors import UsernameTaken
from chatorch.domain.model.identity import GENERATION_STEP, User, UserId
from chatorch.ports.users import UserStore


class MemoryUserStore(UserStore):
    def __init__(self, state: State) -> None:
        self._state = state

    async def add(self, user: User) -> None:
        self._state.require_available()
        if user.username in self._state.user_ids:
            raise UsernameTaken
        self._state.users[user.id] = user
        self._state.user_ids[user.username] = user.id

    async def by_username(self, username: str) -> User | None:
        self._state.require_available()
        user_id = self._state.user_ids.get(username)
        return None if user_id is None else self._state.users[user_id]

    async def by_id(self, user_id: UserId) -> User | None:
        self._state.require_available()
        return self._state.users.get(user_id)

    async def by_ids(self, user_ids: Collection[UserId]) -> Mapping[UserId, User]:
        self._state.require_available()
        return {user_id: self._state.users[user_id] for user_id in user_ids if user_id in self._state.users}

    async def list_all(self) -> Sequence[User]:
        self._state.require_available()
        return sorted(self._state.users.values(), key=lambda user: user.username)

    async def set_disabled(self, user_id: UserId, disabled: bool) -> None:
        self._state.require_available()
        if user := self._state.users.get(user_id):
            generation = _next_generation(user) if disabled else user.generation
            self._state.users[user_id] = replace(user, disabled=disabled, generation=generation)

    async def set_tools(self, user_id: UserId, tools: tuple[str, ...] | None) -> None:
        self._state.require_available()
        if user := self._state.users.get(user_id):
            self._state.users[user_id] = replace(user, tools=tools)

    async def set_password(self, user_id: UserId, password_hash: str | None, changed_at: datetime) -> None:
        self._state.require_available()
        if user := self._state.users.get(user_id):
            self._state.users[user_id] = replace(
                user,
                password_hash=password_hash,
                password_changed_at=changed_at,
                generation=_next_generation(user),
            )


def _next_generation(user: User) -> int:
    return user.generation + 1 + randbelow(GENERATION_STEP)
