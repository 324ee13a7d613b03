"""Who may send a large body: who holds a token. It is read before a route asks who it is, and must not cost much."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.datastructures import Headers
from starlette.types import Scope

from chatorch.domain.model.errors import Overloaded
from chatorch.domain.services.identity.identify import Identify
from chatorch.entrypoints.common.middleware.body_cap import BodyTooLarge
from chatorch.entrypoints.common.principal import bearer_token

MAX_GUESTS = 8
"""Large bodies of guests, which are held at once: there is no token to ask for."""


class LargeBodies:
    def __init__(self, identify: Callable[[], Identify], *, guests: bool) -> None:
        self._identify = identify
        self._room = MAX_GUESTS if guests else 0
        self._guests = guests

    @asynccontextmanager
    async def of(self, scope: Scope) -> AsyncIterator[None]:
        """Held while such a body is. Raises `BodyTooLarge` for who brings no token, `Overloaded` for a guest too many,
        and for a token what `Identify.principal` does."""
        given = Headers(scope=scope).get("authorization")
        if given is not None:
            await self._identify().principal(bearer_token(given))
            yield
            return
        if not self._guests:
            raise BodyTooLarge
        if not self._room:
            raise Overloaded
        self._room -= 1
        try:
            yield
        finally:
            self._room += 1
