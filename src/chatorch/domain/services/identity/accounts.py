"""The accounts of users, as an operator keeps them."""

from collections.abc import Sequence
from dataclasses import replace

from chatorch.domain.model.errors import InvalidField, NotFound
from chatorch.domain.model.identity import Scope, User, UserId, canonical_password, canonical_username
from chatorch.domain.model.tool_policy import tool_rules
from chatorch.ports.passwords import PasswordHasher
from chatorch.ports.system import Clock, IdFactory
from chatorch.ports.users import UserStore


class Accounts:
    """User names may be given in any spelling; `canonical_username` makes them one."""

    def __init__(self, *, users: UserStore, passwords: PasswordHasher, clock: Clock, ids: IdFactory) -> None:
        self._users = users
        self._passwords = passwords
        self._clock = clock
        self._ids = ids

    async def add(self, username: str, password: str | None, admin: bool = False) -> User:
        """Who has no password cannot sign in by one, until it is set. Raises `InvalidField` and `UsernameTaken`."""
        name = canonical_username(username)
        password_hash = await self._hash(password)
        now = self._clock.now()
        user = User(
            id=UserId(self._ids.new("usr")),
            username=name,
            password_hash=password_hash,
            scopes=frozenset({Scope.CHAT, Scope.ADMIN} if admin else {Scope.CHAT}),
            disabled=False,
            created_at=now,
            password_changed_at=now,
        )
        await self._users.add(user)
        return user

    async def list_all(self) -> Sequence[User]:
        """By user name."""
        return await self._users.list_all()

    async def set_disabled(self, username: str, disabled: bool) -> User:
        """Tokens stop counting within the few seconds that a user is cached. Raises `NotFound`."""
        user = await self._named(username)
        await self._users.set_disabled(user.id, disabled)
        return user

    async def set_tools(self, username: str, tools: Sequence[str] | None) -> User:
        """Which tools this user may use: rules as `chatorch.domain.model.tool_policy` has them, none at all, or, with
        None, those that everybody may. Holds within the few seconds that a user is cached. Raises `InvalidField` and
        `NotFound`."""
        user = await self._named(username)
        try:
            tool_rules(tools or ())
        except ValueError:
            raise InvalidField("tools", "must be names of tools, such as search,github__*,admin:shell") from None
        kept = None if tools is None else tuple(tools)
        await self._users.set_tools(user.id, kept)
        return replace(user, tools=kept)

    async def tools(self, username: str, rules: str | None, *, usual: bool = False) -> User:
        """The user, with other rules where some are given: separated by commas, ``-`` for no tools at all; `usual` for
        those of everybody. Raises as `set_tools`."""
        if rules is not None and usual:
            raise InvalidField("tools", "must be rules, or the usual ones, and not both")
        if rules is None:
            return await self.set_tools(username, None) if usual else await self._named(username)
        return await self.set_tools(username, [] if rules == "-" else [rule.strip() for rule in rules.split(",")])

    async def set_password(self, username: str, password: str | None) -> User:
        """Another one, or none any more. Tokens issued before no longer count. Raises `InvalidField` and `NotFound`."""
        user = await self._named(username)
        await self._users.set_password(user.id, await self._hash(password), self._clock.now())
        return user

    async def _named(self, username: str) -> User:
        user = await self._users.by_username(canonical_username(username))
        if user is None:
            raise NotFound("There is no user of this name.")
        return user

    async def _hash(self, password: str | None) -> str | None:
        return await self._passwords.hash(canonical_password(password)) if password is not None else None
