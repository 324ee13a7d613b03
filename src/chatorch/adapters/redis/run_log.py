"""The run log of several processes: each has the runs that it executes in memory, and the others' through Redis."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from chatorch.adapters.redis.link import Away, RedisLink
from chatorch.adapters.redis.log_publisher import REBASE_EVERY, LogPublisher
from chatorch.adapters.redis.replicas import Replicas
from chatorch.adapters.redis.tasks import ended
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.parts import NOTHING, Facts, PartKind
from chatorch.domain.model.run import RunEvent, RunStarted, Silence, TerminalEvent
from chatorch.ports.run_log import RunLog

LINGER_S = 5.0
"""How long a run that ended here is followed here, as `local` keeps it."""

CLOSE_S = 0.5


class RedisRunLog(RunLog):
    """Writes to `local`, and has it published. Whoever follows a run that is executed here never waits for Redis.

    A run that is executed elsewhere is opened in `local` too, as a replica; nothing but what comes from Redis is
    written to it.
    """

    def __init__(self, local: RunLog, link: RedisLink, *, rebase_every: int = REBASE_EVERY) -> None:
        self._local = local
        self._publisher = LogPublisher(link, local, rebase_every=rebase_every)
        self._replicas = Replicas(link, local)
        self._link = link
        self._open: set[RunId] = set()
        self._here: set[RunId] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begins to publish. What was written before is published as well."""
        self._tasks = [
            asyncio.ensure_future(self._publisher.keep()),
            asyncio.ensure_future(self._replicas.keep_watching()),
        ]

    async def aclose(self) -> None:
        """Publishes what is left, if that takes no time. Followers of other processes' runs are sent to the row."""
        await ended(self._tasks)
        with suppress(TimeoutError, Away):
            async with asyncio.timeout(CLOSE_S):
                await self._publisher.publish()
        await self._replicas.aclose()

    def open(self, run_id: RunId, epoch: int, started: RunStarted) -> None:
        self._open.add(run_id)
        self._here.add(run_id)
        self._replicas.give_way(run_id)
        self._local.open(run_id, epoch, started)
        self._publisher.open(run_id, epoch, started)

    def append(self, run_id: RunId, text: str) -> None:
        if run_id in self._open:
            self._local.append(run_id, text)
            self._publisher.append(run_id, text)

    def start_part(self, run_id: RunId, kind: PartKind, head: Facts = NOTHING) -> None:
        if run_id in self._open:
            self._local.start_part(run_id, kind, head)
            self._publisher.start_part(run_id, kind, head)

    def end_part(self, run_id: RunId, result: Facts = NOTHING) -> None:
        if run_id in self._open:
            self._local.end_part(run_id, result)
            self._publisher.end_part(run_id, result)

    def end(self, run_id: RunId, terminal: TerminalEvent) -> None:
        if run_id in self._open:
            self._open.discard(run_id)
            self._publisher.end(run_id, self._local.content(run_id) or Content(), terminal)
            self._local.end(run_id, terminal)
            asyncio.get_running_loop().call_later(LINGER_S, self._here.discard, run_id)

    def abandon(self, run_id: RunId) -> None:
        if run_id in self._open:
            self._open.discard(run_id)
            self._here.discard(run_id)
            self._local.abandon(run_id)
            self._publisher.abandon(run_id)

    def content(self, run_id: RunId) -> Content | None:
        return self._local.content(run_id)

    def base(self, run_id: RunId) -> int | None:
        return self._local.base(run_id)

    def follow(self, run_id: RunId, after: int) -> AsyncGenerator[RunEvent | Silence]:
        if run_id in self._here:
            return self._local.follow(run_id, after)
        return self._replicas.follow(run_id, after)
