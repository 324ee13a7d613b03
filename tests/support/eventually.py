"""Waiting for what another process does, where nothing tells."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

EVERY_S = 0.01


async def eventually(look: Callable[[], Awaitable[T]], within: float = 5.0, every: float = EVERY_S) -> T:
    """The first answer of `look` that is true, asked for every few milliseconds. Fails after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within} s; last seen: {found!r}"
        await asyncio.sleep(every)
