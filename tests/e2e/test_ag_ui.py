"""AG-UI over sockets: a connection that breaks anywhere, a killed process, another worker; ids that stay."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import NewServer, TwoWorkers
from tests.support.ag_ui import Client
from tests.support.ag_ui_door import DOOR, asked
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.upstream import Upstream, finish, pause, text

PIECES = ("Each ", "word ", "of ", "this ", "is ", "a ", "piece: ", "é ", "漢字 ", "👩‍👩‍👧 ", "end.")
WHOLE = "".join(PIECES)


class Page:
    """What has come of one stream, as whole frames."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200
        self._pieces = answer.aiter_bytes()
        self._rest = b""
        self.frames: list[bytes] = []

    async def frame(self) -> bytes | None:
        """The next one; None at the end."""
        while b"\n\n" not in self._rest:
            piece = await anext(self._pieces, None)
            if piece is None:
                return None
            self._rest += piece
        frame, _, self._rest = self._rest.partition(b"\n\n")
        self.frames.append(frame + b"\n\n")
        return self.frames[-1]

    async def until(self, word: bytes) -> None:
        while (frame := await self.frame()) is not None and word not in frame:
            pass

    async def to_its_end(self) -> "Page":
        while await self.frame() is not None:
            pass
        return self

    def take(self, page: Client | None = None) -> Client:
        return (page or Client()).take(b"".join(self.frames))


@asynccontextmanager
async def stream(server: Server, path: str = DOOR, token: str = "", **members: Any) -> AsyncIterator[Page]:
    headers = {"Authorization": f"Bearer {token or server.tokens['alice']}"}
    async with (
        httpx.AsyncClient(base_url=server.url, headers=headers, timeout=10) as client,
        client.stream("POST", path, json=asked(**members)) as answer,
    ):
        yield Page(answer)


@pytest.mark.soak
async def test_a_connection_that_breaks_at_each_event_and_comes_back_shows_the_same(server: Server, upstream: Upstream):
    model = {"forwardedProps": {"model": upstream.model([text(*PIECES, every=0.002), finish()])}}
    ids = set()
    for count in range(size(8, 100)):
        thread = f"cut-{count}"
        async with stream(server, thread=thread, **model) as page:
            for _ in range(1 + count % len(PIECES)):
                await page.frame()
        before = page.take(Client([{"id": "u-Hi", "role": "user", "content": "Hi"}]))
        async with stream(server, f"{DOOR}/connect", thread=thread, run="back") as back:
            after = (await back.to_its_end()).take(Client(before.messages))
        assert [message["content"] for message in after.messages] == ["Hi", WHOLE]
        assert after.ended is not None
        ids.add(after.messages[1]["id"])
    assert len(ids) == size(8, 100)


async def test_an_answer_that_was_left_makes_way_for_a_new_message_and_goes_on_for_the_same(
    server: Server, upstream: Upstream
):
    said = [text("one "), pause("ag-ui-left"), text("two"), finish()]
    model = {"forwardedProps": {"model": upstream.model(said, [text("three"), finish()])}, "thread": "ag-ui-left"}
    async with stream(server, **model) as page:
        await page.until(b"one ")
    new = {"messages": [{"id": "u-Two", "role": "user", "content": "Two"}], "run": "run-2"}
    async with stream(server, **new, **model) as page:
        assert [message["content"] for message in (await page.to_its_end()).take().messages] == ["three"]
    upstream.release("ag-ui-left")
    async with stream(server, f"{DOOR}/connect", thread="ag-ui-left", run="back") as back:
        shown = (await back.to_its_end()).take().messages
    assert [message["content"] for message in shown] == ["Hi", "one ", "Two", "three"]


async def test_after_a_kill_and_a_restart_ids_are_the_same_and_the_next_answer_comes(
    new_server: NewServer, upstream: Upstream
):
    first = {
        "forwardedProps": {"model": upstream.model([text("one "), finish()], [text("two "), pause("ag-ui-killed")])}
    }
    async with serving(await new_server()) as server:
        async with stream(server, **first) as page:
            done = (await page.to_its_end()).take()
        second = {"messages": [{"id": "u-Two", "role": "user", "content": "Two"}], "run": "run-2"}
        async with stream(server, **second, **first) as page:
            with suppress(httpx.HTTPError):
                await page.frame()
                await server.kill()
                await page.to_its_end()
        await server.start()
        upstream.release("ag-ui-killed")
        async with stream(server, f"{DOOR}/connect", run="back") as back:
            after = (await back.to_its_end()).take()
        assert [message["id"] for message in after.messages[:3]] == ["u-Hi", done.messages[0]["id"], "u-Two"]
        assert after.messages[1] == done.messages[0]
        assert after.ended is not None


@pytest.mark.long
async def test_what_one_worker_writes_is_followed_by_another(two_workers: TwoWorkers, upstream: Upstream):
    model = {"forwardedProps": {"model": upstream.model([text("one "), pause("ag-ui-other"), text("two"), finish()])}}
    async with two_workers() as (one, two), stream(one.server, token=one.token, **model) as page:
        await page.until(b"one ")
        async with stream(two.server, f"{DOOR}/connect", token=two.token, run="back") as other:
            await other.until(b"MESSAGES_SNAPSHOT")
            upstream.release("ag-ui-other")
            there = (await other.to_its_end()).take()
        here = (await page.to_its_end()).take()
        assert there.messages[1:] == here.messages
        assert here.messages[0]["content"] == "one two"
