"""``?limit=&after=&order=`` of a list as the domain's page requests."""

from typing import Annotated, Literal

from fastapi import Query

from chatorch.domain.model.paging import DEFAULT_LIMIT, MAX_LIMIT, MessageCursor, PageRequest, ThreadCursor

MAX_CURSOR_CHARS = 512

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
After = Annotated[str | None, Query(max_length=MAX_CURSOR_CHARS, description="A cursor that this list gave out")]
Order = Literal["asc", "desc"]


async def thread_page(
    limit: Limit = DEFAULT_LIMIT, after: After = None, order: Order = "desc"
) -> PageRequest[ThreadCursor]:
    """Newest first unless asked otherwise. Raises `InvalidField` for a bad cursor."""
    cursor = ThreadCursor.decode(after) if after is not None else None
    return PageRequest(limit, cursor, descending=order == "desc")


async def message_page(
    limit: Limit = DEFAULT_LIMIT, after: After = None, order: Order = "asc"
) -> PageRequest[MessageCursor]:
    """Oldest first unless asked otherwise. Raises `InvalidField` for a bad cursor."""
    cursor = MessageCursor.decode(after) if after is not None else None
    return PageRequest(limit, cursor, descending=order == "desc")
