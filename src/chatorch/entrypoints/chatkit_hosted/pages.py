"""``?limit=&after=&order=`` of a list that OpenAI keeps."""

from chatorch.domain.model.chatkit_hosted.paging import HostedCursor
from chatorch.domain.model.paging import DEFAULT_LIMIT, PageRequest
from chatorch.entrypoints.common.pages import After, Limit, Order


async def hosted_thread_page(
    limit: Limit = DEFAULT_LIMIT, after: After = None, order: Order = "desc"
) -> PageRequest[HostedCursor]:
    """Newest first unless asked otherwise. Raises `InvalidField` for a bad cursor."""
    return _hosted_page(limit, after, order)


async def hosted_item_page(
    limit: Limit = DEFAULT_LIMIT, after: After = None, order: Order = "asc"
) -> PageRequest[HostedCursor]:
    """Oldest first unless asked otherwise. Raises `InvalidField` for a bad cursor."""
    return _hosted_page(limit, after, order)


def _hosted_page(limit: int, after: str | None, order: Order) -> PageRequest[HostedCursor]:
    cursor = HostedCursor.decode(after) if after is not None else None
    return PageRequest(limit, cursor, descending=order == "desc")
