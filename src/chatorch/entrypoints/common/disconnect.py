"""Noticing that a client has left while it is being answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive


class ClientLeft(Exception):
    """The connection is gone; there is nobody to answer."""


@asynccontextmanager
async def unless_client_leaves(receive: Receive) -> AsyncIterator[None]:
    """Cancels what is inside when the client disconnects, and raises `ClientLeft` in its place.

    The request's body must have been read: what `receive` says next is then ``http.disconnect`` (ASGI 3.0).
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as scope:
            listener = asyncio.ensure_future(disconnected(receive))
            inside = True

            def leave(_: object) -> None:
                if inside:
                    scope.reschedule(loop.time())

            listener.add_done_callback(leave)
            try:
                yield
            finally:
                inside = False
                listener.cancel()
    except TimeoutError:
        if scope.expired():
            raise ClientLeft from None
        raise


async def disconnected(receive: Receive) -> None:
    """Waits until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
