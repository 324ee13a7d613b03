"""What a request says of itself: where its client stands, and by which key it may be told again."""

from typing import Annotated

from fastapi import Depends, Header

from chatorch.domain.model.errors import InvalidField

MAX_POSITION = 2**63 - 1
MAX_KEY_CHARS = 255
PRINTABLE_ASCII = r"^[\x20-\x7e]+$"


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
