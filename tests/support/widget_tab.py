"""A page with ChatKit's widget on one thread, and what its user presses there."""

from typing import Any

import httpx

from tests.support.chatkit_page import ITEM, Page, shown
from tests.support.widget import Answered, asked, create, send


class Tab:
    """What a page shows of a thread that it has open."""

    def __init__(self, client: httpx.AsyncClient, thread_id: str) -> None:
        self.client, self.thread_id = client, thread_id
        self.page = Page()

    @classmethod
    async def asking(cls, client: httpx.AsyncClient) -> "Tab":
        answer = await create(client)
        tab = cls(client, answer.thread_id)
        tab.page.show(answer.events)
        return tab

    async def load(self) -> "Tab":
        thread = await asked(self.client, "threads.get_by_id", thread_id=self.thread_id)
        self.page = Page([ITEM.validate_python(item) for item in thread["items"]["data"]])
        return self

    @property
    def items(self) -> list[dict[str, Any]]:
        return self.page.items

    def cards(self) -> list[dict[str, Any]]:
        return [item for item in self.items if item["type"] == "widget"]

    def statuses(self) -> list[str]:
        return [card["widget"]["status"]["text"] for card in self.cards()]

    def button(self, label: str, nth: int = 0) -> dict[str, Any]:
        """What is sent where it is pressed."""
        card = self.cards()[nth]
        [row] = [child for child in card["widget"]["children"] if child["type"] == "Row"]
        [action] = [each["onClickAction"] for each in row["children"] if each["label"] == label]
        return {"item_id": card["id"], "action": {"type": action["type"], "payload": action["payload"]}}

    def buttons(self) -> int:
        return str(self.items).count("'type': 'Button'")

    async def send(self, press: dict[str, Any]) -> Answered:
        answer = Answered(await send(self.client, "threads.custom_action", thread_id=self.thread_id, **press))
        self.page.show(answer.events)
        return answer

    async def press(self, label: str, nth: int = 0) -> Answered:
        return await self.send(self.button(label, nth))

    async def output(self, result: Any) -> Answered:
        answer = Answered(
            await send(self.client, "threads.add_client_tool_output", thread_id=self.thread_id, result=result)
        )
        self.page.show(answer.events)
        return answer

    async def shows_what_is_read(self) -> None:
        page = await asked(self.client, "items.list", thread_id=self.thread_id, order="asc", limit=50)
        assert self.items == [shown(ITEM.validate_python(item)) for item in page["data"]]
