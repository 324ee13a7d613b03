"""Clients that ask, and take in nothing of the answer: they hold neither a connection nor a place."""

from contextlib import AsyncExitStack

import pytest

from chatorch.entrypoints.common.connection import HttpConnection
from chatorch.entrypoints.common.connection.caps import GRACE_S, Caps
from tests.support.eventually import eventually
from tests.support.plumbed_app import plumbed_app, serving
from tests.support.raw_http import dialled, head, unread
from tests.support.raw_ws import is_reset

LIST = head("GET", "/api/list")
ENDLESS = head("GET", "/api/stream/20000")
ANSWERED = LIST * 150
"""All is answered, and waits to be taken in."""
LAST = LIST * 150 + head("GET", "/api/list", ("Connection", "close"))
KERNEL_BYTES = 4096


class Quick(HttpConnection):
    unread_s = 0.1
    last_s = 0.05


@pytest.mark.parametrize("asked", [ENDLESS, ANSWERED, LAST])
async def test_who_takes_in_nothing_is_cut_off(asked: bytes) -> None:
    async with serving(plumbed_app(), Quick, kernel_bytes=KERNEL_BYTES) as (_, port), unread(port, asked) as plug:

        async def gone() -> bool:
            return is_reset(plug)

        await eventually(gone)


@pytest.mark.parametrize(
    "asked", [ENDLESS, ANSWERED, b"", b"GET /", head("POST", "/api/chat", ("Content-Length", "9")), LIST + LIST[:-2]]
)
async def test_nobody_holds_a_place_by_waiting_to_be_waited_for(asked: bytes) -> None:
    """By a head, a body or an answer that never ends."""
    caps = Caps(connections=6, an_address=6)
    app = plumbed_app()
    async with serving(app, caps=caps, kernel_bytes=KERNEL_BYTES) as (_, port), AsyncExitStack() as stack:
        for _ in range(6):
            await stack.enter_async_context(unread(port, asked))

        async def served() -> bool:
            async with dialled(port, "127.0.0.2") as line:
                line.writer.write(LIST)
                return (await line.answer()).status == 200

        await eventually(served, within=GRACE_S + 4)
