"""``?limit=&after=&order=``."""

from datetime import UTC, datetime

import pytest

from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.paging import MessageCursor, PageRequest, ThreadCursor
from chatorch.entrypoints.common.pages import message_page, thread_page


async def test_threads_come_newest_first_and_messages_oldest_first():
    assert await thread_page() == PageRequest(20, None, descending=True)
    assert await message_page() == PageRequest(20, None, descending=False)
    assert (await thread_page(order="asc")).descending is False
    assert (await message_page(order="desc")).descending is True


async def test_a_cursor_of_the_list_is_understood():
    thread, message = ThreadCursor(datetime(2026, 1, 1, tzinfo=UTC), "thr_1"), MessageCursor(7)
    assert (await thread_page(after=thread.encode())).after == thread
    assert (await message_page(after=message.encode())).after == message


@pytest.mark.parametrize("page", [thread_page, message_page])
@pytest.mark.parametrize("after", ["", "nonsense", "é"])
async def test_anything_else_is_refused_by_name(page, after):
    with pytest.raises(InvalidField, match=r"^after: "):
        await page(after=after)
