"""Text that more than one spelling stands for, and signs that are made of several characters, through every door."""

import httpx
import pytest

from tests.support.api import ask
from tests.support.widget import asked, create
from tests.support.ws import Door, token_of

ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
TITLE = f"می\u200cخواهم 👨‍👩‍👧‍👦 {ENGLAND} ❤️ e\u0301?"


# -- titles ------------------------------------------------------------------------------------------------------------


async def title_of(alice: httpx.AsyncClient, thread_id: str) -> str:
    listed = (await alice.get("/api/threads")).json()["data"][0]
    read = (await alice.get(f"/api/threads/{thread_id}")).json()
    assert listed["id"] == read["id"] == thread_id
    assert listed["title"] == read["title"]
    return str(read["title"])


@pytest.mark.parametrize("content", [TITLE, f"\n\u202e{TITLE}\x1b\nand more"])
async def test_a_first_message_gives_its_signs_to_the_title_through_every_door(
    alice: httpx.AsyncClient, door: Door, content: str
) -> None:
    answer = await ask(alice, content)
    assert await title_of(alice, answer["thread_id"]) == TITLE

    phone = await door.connect("phone", token_of(alice))
    ack = await phone.ask("chat.send", content=content)
    await phone.run_ended(ack["run_id"])
    assert await title_of(alice, ack["thread_id"]) == TITLE

    assert await title_of(alice, (await create(alice, content)).thread_id) == TITLE


async def test_a_title_that_a_user_gives_keeps_them_too(alice: httpx.AsyncClient) -> None:
    thread_id = (await ask(alice))["thread_id"]
    await alice.patch(f"/api/threads/{thread_id}", json={"title": TITLE})
    assert await title_of(alice, thread_id) == TITLE
    await asked(alice, "threads.update", thread_id=thread_id, title=TITLE + "!")
    assert await title_of(alice, thread_id) == TITLE + "!"
