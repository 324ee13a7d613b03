"""Ending what runs in the background."""

import asyncio
from collections.abc import Collection

AGAIN_S = 0.05


async def ended(tasks: Collection["asyncio.Task[None]"]) -> None:
    """Cancels them until they have ended; what they raise is dropped.

    Once is not enough: on Python 3.11 `asyncio.wait_for`, under which redis-py writes, swallows a cancellation that
    comes together with its result (https://github.com/python/cpython/issues/86296).
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
