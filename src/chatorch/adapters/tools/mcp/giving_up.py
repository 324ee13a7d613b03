"""Requests that nobody waits for any more.

The official package tells the server (``notifications/cancelled``), and holds up for seconds whoever gives a request up
where the server does not take that.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_given_up: set[asyncio.Task[Any]] = set()


async def within(seconds: float, asking: Coroutine[Any, Any, T]) -> T:
    """What it returns. Raises `TimeoutError` in time, whatever it does then."""
    task = asyncio.create_task(asking)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        give_up(task)
    if not done:
        raise TimeoutError
    return task.result()


def give_up(task: asyncio.Task[Any]) -> None:
    """Lets it end by itself, unless it has."""
    if task.done():
        _forget(task)
        return
    task.cancel()
    _given_up.add(task)
    task.add_done_callback(_forget)


def _forget(task: asyncio.Task[Any]) -> None:
    _given_up.discard(task)
    if not task.cancelled():
        task.exception()  # that somebody has seen it
