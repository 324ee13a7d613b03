"""What routes are given: parts of the container that the application carries, and who is asking."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header
from fastapi.security import OAuth2PasswordBearer
from starlette.requests import HTTPConnection, Request

from chatorch.domain.model.errors import InvalidField, InvalidToken, NotAuthenticated
from chatorch.domain.model.identity import Principal, Scope
from chatorch.domain.model.policy import require_scope
from chatorch.domain.services.authentication import Authentication

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


class BearerToken(OAuth2PasswordBearer):
    """The token of ``Authorization: Bearer …`` (RFC 6750, 2.1); None without the header.

    Raises `InvalidToken` for a header that is something else: nobody becomes a guest by a mistake.
    """

    async def __call__(self, request: HTTPConnection) -> str | None:
        given = request.headers.get("authorization")
        if given is None:
            return None
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise InvalidToken
        return token.strip()


Token = Annotated[str | None, Depends(BearerToken(tokenUrl="token"))]


async def signed_in(request: Request, token: Token) -> Principal:
    """Who holds the token. Raises `NotAuthenticated`, `InvalidToken`, `StoreUnavailable`, `InsufficientScope`."""
    if token is None:
        raise NotAuthenticated
    authentication: Authentication = request.app.state.container.authentication()
    principal = await authentication.verify(token)
    require_scope(principal, Scope.CHAT)
    return principal


async def signed_in_or_guest(request: Request, token: Token) -> Principal:
    """A guest where there is no token and the operator lets guests in; else like `signed_in`."""
    container = request.app.state.container
    if token is None and container.settings().anonymous_chat:
        guest: Principal = container.authentication().guest()
        return guest
    return await signed_in(request, token)


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


SignedIn = Annotated[Principal, Depends(signed_in)]
SignedInOrGuest = Annotated[Principal, Depends(signed_in_or_guest)]
IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=MAX_KEY_CHARS, pattern=PRINTABLE_ASCII)
]
Position = Annotated[int, Depends(position)]
