"""Where accounts are kept."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from chatorch.domain.model.identity import User, UserId


class UserStore(Protocol):
    """Every method is one transaction and raises `StoreUnavailable` when the store does not answer.

    User names are canonical (`canonical_username`) before they get here. Who has no password is kept as without one. No
    user is ever removed. What raises the
    generation does so by chance, by 1 to `GENERATION_STEP`.
    """

    @abstractmethod
    async def add(self, user: User) -> None:
        """Raises `UsernameTaken`."""
        ...

    @abstractmethod
    async def by_username(self, username: str) -> User | None: ...

    @abstractmethod
    async def by_id(self, user_id: UserId) -> User | None: ...

    @abstractmethod
    async def by_ids(self, user_ids: Collection[UserId]) -> Mapping[UserId, User]:
        """Without those of whom there is no such user. Any number of them."""
        ...

    @abstractmethod
    async def list_all(self) -> Sequence[User]:
        """By user name."""
        ...

    @abstractmethod
    async def set_disabled(self, user_id: UserId, disabled: bool) -> None:
        """Disabling raises the generation. A no-op where there is no such user."""
        ...

    @abstractmethod
    async def set_tools(self, user_id: UserId, tools: tuple[str, ...] | None) -> None:
        """Rules for which tools (`User.tools`); none of them holds a comma. A no-op where there is no such user."""
        ...

    @abstractmethod
    async def set_password(self, user_id: UserId, password_hash: str | None, changed_at: datetime) -> None:
        """Raises the generation. None takes the password away. A no-op where there is no such user."""
        ...
