"""What one process of several has on Redis. Two of them in one test are two processes that share their memory."""

import itertools
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from chatorch.adapters.memory.run_log import MemoryRunLog
from chatorch.adapters.redis.connections import RedisConnections
from chatorch.adapters.redis.link import LOOK_S, RedisLink
from chatorch.adapters.redis.log_publisher import REBASE_EVERY
from chatorch.adapters.redis.run_control import RedisRunControl
from chatorch.adapters.redis.run_log import RedisRunLog
from tests.support.eventually import eventually

_numbers = itertools.count()


def fresh_prefix() -> str:
    """Keys that no other test uses."""
    return f"test-{os.getpid()}-{next(_numbers)}:"


class RedisProcess:
    def __init__(
        self,
        url: str,
        prefix: str,
        *,
        silence_s: float = 0.02,
        most: int = 100,
        life_s: float = 10.0,
        renew_s: float = 3.0,
        settled_s: float = 4.0,
        rebase_every: int = REBASE_EVERY,
        look_s: float = LOOK_S,
    ) -> None:
        self.link = RedisLink(url, prefix=prefix, look_s=look_s)
        self.local = MemoryRunLog(silence_s=silence_s)
        self.log = RedisRunLog(self.local, self.link, rebase_every=rebase_every)
        self.run_control = RedisRunControl(self.link)
        self.connections = RedisConnections(self.link, most, life_s=life_s, renew_s=renew_s, settled_s=settled_s)

    async def start(self) -> None:
        await self.link.start()
        await self.log.start()
        await self.connections.start()

    async def aclose(self) -> None:
        await self.connections.aclose()
        await self.log.aclose()
        await self.link.aclose()

    async def die(self) -> None:
        """Without a word to anyone."""
        self.link.up = False
        await self.link.aclose()

    async def until(self, *, up: bool, within: float = 5.0) -> None:
        """Waits until it knows that Redis is there, or away."""

        async def look() -> bool:
            return self.link.up is up

        await eventually(look, within)


@asynccontextmanager
async def processes(url: str, count: int = 2, **measures: float) -> AsyncIterator[list[RedisProcess]]:
    prefix = fresh_prefix()
    async with AsyncExitStack() as stack:
        started = []
        for _ in range(count):
            process = RedisProcess(url, prefix, **measures)
            stack.push_async_callback(process.aclose)
            await process.start()
            started.append(process)
        yield started
