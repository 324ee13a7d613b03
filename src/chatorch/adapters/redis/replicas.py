"""Runs that other processes execute, as far as somebody here follows them."""

import asyncio
from collections.abc import AsyncGenerator

import structlog

from chatorch.adapters.redis.entries import (
    Base,
    Entry,
    Fact,
    Stored,
    channel,
    decode_entry,
    entry_of_base,
    facts_beyond,
    reading,
    stored_of,
    terminal_of,
    watch_key,
)
from chatorch.adapters.redis.link import Away, RedisLink
from chatorch.adapters.redis.scripts import WATCH, Command
from chatorch.adapters.redis.tasks import ended
from chatorch.domain.model.content import START
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import RunEvent, Silence
from chatorch.ports.run_log import RunLog

WATCH_S = 2.0
WATCH_MS = 6000
LINGER_S = 1.0
"""How long a run is still heard when its last follower has left: one that is cut off comes back."""

FIRST_WORD_S = 0.25
"""For a run so new that its first words are still on their way."""

AGAIN_S = 0.05
NOT_READ_AGAIN_S = 0.5
READ_AT_ONCE = 8

log = structlog.get_logger(__name__)


class Replica:
    """A run's log in `local`, kept up with what its executor tells. `ready` says whether there is anything."""

    def __init__(self, run_id: RunId, local: RunLog) -> None:
        self.run_id = run_id
        self.followers = 0
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.heard = asyncio.Event()
        self.loading = False
        self.load_again = False
        self.stale = False
        self.closed = False
        self.gone_in: asyncio.TimerHandle | None = None
        self._local = local
        self._epoch = 0
        self._tip = 0
        self._held: list[Entry] = []

    @property
    def opened(self) -> bool:
        return self._epoch > 0

    def hear(self, entry: Entry) -> None:
        """Takes what is new in it, or holds it back until all is loaded. A gap makes the replica `stale`."""
        self.heard.set()
        if self.closed:
            return
        if self.loading:
            self._held.append(entry)
        elif entry.over or entry.epoch > self._epoch:
            self.abandon()
        elif entry.epoch == self._epoch:
            self._take(entry)

    def load(self, stored: Stored | None) -> None:
        """Takes what Redis has, where it could be read, and then what was heard meanwhile."""
        entries: list[Entry] = []
        if stored is not None and not self.closed:
            entries = stored.entries
            if stored.base is not None:
                self._open(stored.base)
                entries = [entry_of_base(stored.base), *entries]
        self.loading = self.stale = False
        held, self._held = self._held, []
        if self.opened:
            for entry in (*entries, *held):
                self.hear(entry)

    def abandon(self) -> None:
        """Its followers are sent to the row."""
        self.closed = True
        if self.opened:
            self._local.abandon(self.run_id)

    def _open(self, base: Base) -> None:
        if not self.opened:
            self._epoch, self._tip = base.epoch, START
            self._local.open(self.run_id, base.epoch, base.started)

    def _take(self, entry: Entry) -> None:
        if entry.begins > self._tip:
            self.stale = True
            return
        for fact in facts_beyond(entry, self._tip):
            self._add(fact)
        if (terminal := terminal_of(entry)) is not None:
            self.closed = True
            self._local.end(self.run_id, terminal)

    def _add(self, fact: Fact) -> None:
        if isinstance(fact, str):
            self._tip += len(fact)
            self._local.append(self.run_id, fact)
            return
        self._tip += 1
        if fact.kind:
            self._local.start_part(self.run_id, PartKind(fact.kind), fact.facts)
        else:
            self._local.end_part(self.run_id, fact.facts)


class Replicas:
    """One replica a run, however many follow it. While one is followed, its executor can see that it is watched."""

    def __init__(self, link: RedisLink, local: RunLog, *, linger_s: float = LINGER_S, watch_s: float = WATCH_S) -> None:
        self._link = link
        self._local = local
        self._linger_s = linger_s
        self._watch_s = watch_s
        self._replicas: dict[RunId, Replica] = {}
        self._loads: set[asyncio.Task[None]] = set()
        self._reading = asyncio.Semaphore(READ_AT_ONCE)
        link.on_return(self._reload_all)

    async def follow(self, run_id: RunId, after: int) -> AsyncGenerator[RunEvent | Silence]:
        """As `RunLog.follow`; ends at once where Redis is away or knows nothing of the run."""
        replica = self._replicas.get(run_id)
        if replica is None:
            if not self._link.up:
                return
            replica = self._begin(run_id)
        if replica.gone_in is not None:
            replica.gone_in.cancel()
        replica.followers += 1
        try:
            if await asyncio.shield(replica.ready):
                events = self._local.follow(run_id, after)
                try:
                    async for event in events:
                        yield event
                finally:
                    await events.aclose()
        finally:
            replica.followers -= 1
            if not replica.followers:
                replica.gone_in = asyncio.get_running_loop().call_later(self._linger_s, self._end, replica)

    def give_way(self, run_id: RunId) -> None:
        """To this process, which carries the run on from now: its followers here come back to what it writes itself."""
        if replica := self._replicas.pop(run_id, None):
            self._link.forget(channel(self._link, run_id))
            replica.abandon()

    async def keep_watching(self) -> None:
        """For ever: shows executors which runs are followed here."""
        while True:
            await asyncio.sleep(self._watch_s)
            live = [replica.run_id for replica in self._replicas.values() if replica.followers and not replica.closed]
            if live:
                self._link.post(self._watching(live))

    async def aclose(self) -> None:
        await ended(list(self._loads))
        for replica in list(self._replicas.values()):
            if replica.gone_in is not None:
                replica.gone_in.cancel()
            self._end(replica)

    # -- loading ---------------------------------------------------------------------------------------------------

    def _begin(self, run_id: RunId) -> Replica:
        replica = self._replicas[run_id] = Replica(run_id, self._local)

        def hear(data: bytes) -> None:
            replica.hear(decode_entry(data))
            if self._replicas.get(run_id) is not replica:
                return
            if replica.closed:
                self._link.forget(channel(self._link, run_id))
            elif replica.stale:
                self._load(replica)

        self._link.listen(channel(self._link, run_id), hear)
        self._load(replica)
        return replica

    def _load(self, replica: Replica) -> None:
        if replica.closed:
            return
        if replica.loading:
            replica.load_again = True
            return
        replica.loading = True
        task = asyncio.ensure_future(self._loaded(replica))
        self._loads.add(task)
        task.add_done_callback(self._loads.discard)

    async def _loaded(self, replica: Replica) -> None:
        stored: Stored | None = None
        try:
            stored = await self._freshest(replica)
        except Away:
            # What is open stays as it is. While Redis is there, the reason was not its own: the next try may do.
            replica.load_again = self._link.up
        except Exception as error:
            log.warning("redis_run_not_loaded", error=type(error).__qualname__)
        finally:
            replica.load(stored)
            if not replica.ready.done():
                replica.ready.set_result(replica.opened)
            if self._replicas.get(replica.run_id) is not replica:
                pass  # it has gone meanwhile, and another may listen to the same channel
            elif not replica.opened:
                # Whoever comes next tries anew.
                self._end(replica)
            elif replica.closed:
                self._link.forget(channel(self._link, replica.run_id))
            elif replica.load_again or (replica.stale and self._link.up):
                # Not at once: it may be that the executor itself has not yet come back to a Redis that came empty.
                replica.load_again = False
                again_s = AGAIN_S if stored is not None else NOT_READ_AGAIN_S
                asyncio.get_running_loop().call_later(again_s, self._load, replica)

    async def _freshest(self, replica: Replica) -> Stored:
        """Subscribed first, then read: what is told in between is heard, and positions tell what is known already."""
        if not await self._link.confirmed(channel(self._link, replica.run_id)):
            raise Away
        stored = await self._read(replica.run_id)
        if stored.base is None and not stored.entries and not replica.opened:
            try:
                async with asyncio.timeout(FIRST_WORD_S):
                    await replica.heard.wait()
            except TimeoutError:
                return stored
            stored = await self._read(replica.run_id)
        return stored

    async def _read(self, run_id: RunId) -> Stored:
        async with self._reading:  # after an outage all are read again, and none may wait beyond its deadline
            _, entries, base = await self._link.ask(self._watching([run_id]), *reading(self._link, run_id))
        return stored_of(entries, base)

    def _watching(self, run_ids: list[RunId]) -> Command:
        return WATCH([watch_key(self._link, run_id) for run_id in run_ids], self._link.process, WATCH_MS)

    def _reload_all(self) -> None:
        for replica in self._replicas.values():
            if replica.opened and not replica.closed:
                self._load(replica)

    def _end(self, replica: Replica) -> None:
        if self._replicas.get(replica.run_id) is not replica or (replica.followers and replica.opened):
            return
        del self._replicas[replica.run_id]
        name = channel(self._link, replica.run_id)
        self._link.forget(name)
        if not replica.followers:  # else they ask again soon: of a run that was taken over nothing may be told for long
            self._link.post(("ZREM", watch_key(self._link, replica.run_id), self._link.process))
        if not replica.closed:
            replica.abandon()
