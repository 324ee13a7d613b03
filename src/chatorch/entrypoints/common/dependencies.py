"""What routes are given: parts of the container that the application carries, and who is asking."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header
from fastapi.security import OAuth2PasswordBearer
from starlette.requests import HTTPConnection

from chatorch.domain.model.errors import InvalidField, InvalidToken, NotAuthenticated
from chatorch.domain.model.identity import Principal, Scope
from chatorch.domain.model.policy import require_scope
from chatorch.domain.services.identity.sign_in import Authentication
from chatorch.entrypoints.common.middleware.access import client_address
from chatorch.entrypoints.common.unread import ASKED_BY

T = TypeVar("T")

MAX_POSITION = 2**63 - 1
MAX_KEY_CHARS = 255
PRINTABLE_ASCII = r"^[\x20-\x7e]+$"


def provided(choose: Callable[[Any], T]) -> Callable[[HTTPConnection], Coroutine[Any, Any, T]]:
    """A dependency on something of the container's: ``Depends(provided(lambda c: c.runs()))``.

    Always a coroutine function: FastAPI sends any other through a thread.
    """

    async def provide(connection: HTTPConnection) -> T:
        return choose(connection.app.state.container)

    return provide


class TokenHolder(OAuth2PasswordBearer):
    """Who holds the token of ``Authorization: Bearer …`` (RFC 6750, 2.1).

    Raises `NotAuthenticated` without the header, `InvalidToken` for one that is something else, `StoreUnavailable`,
    `InsufficientScope`. With `or_guest` it is a guest who comes without the header, where the operator lets them in.
    One dependency and not three of them, because FastAPI takes 25 µs for each.
    """

    def __init__(self, *, or_guest: bool = False) -> None:
        super().__init__(tokenUrl="token", scheme_name="BearerToken")
        self._or_guest = or_guest

    async def __call__(self, request: HTTPConnection) -> Principal:  # type: ignore[override]
        authentication: Authentication = request.app.state.container.authentication()
        given = request.headers.get("authorization")
        if given is None:
            if self._or_guest and request.app.state.container.settings().anonymous_chat:
                return authentication.guest(client_address(request.scope))
            raise NotAuthenticated
        principal = await authentication.verify(bearer_token(given))
        request.scope[ASKED_BY] = principal.user_id
        require_scope(principal, Scope.CHAT)
        return principal


def bearer_token(header: str) -> str:
    """The token in an ``Authorization`` header. Raises `InvalidToken`: nobody becomes a guest by a mistake."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise InvalidToken
    return token.strip()


async def position(
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None, after: str | None = None
) -> int:
    """Where a client stands: ``Last-Event-ID``, which a browser sends by itself, before ``?after=``; 0 for neither."""
    name, given = ("Last-Event-ID", last_event_id) if last_event_id else ("after", after)
    if given is None:
        return 0
    if not (given.isascii() and given.isdigit() and len(given) < 20 and int(given) <= MAX_POSITION):
        raise InvalidField(name, "must be a position: digits only")
    return int(given)


SignedIn = Annotated[Principal, Depends(TokenHolder())]
SignedInOrGuest = Annotated[Principal, Depends(TokenHolder(or_guest=True))]
IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=MAX_KEY_CHARS, pattern=PRINTABLE_ASCII)
]
Position = Annotated[int, Depends(position)]
