"""What routes are given: parts of the container that the application carries, and what a request says of itself."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header
from starlette.requests import HTTPConnection

from chatorch.domain.model.errors import InvalidField

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


IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=MAX_KEY_CHARS, pattern=PRINTABLE_ASCII)
]
Position = Annotated[int, Depends(position)]
