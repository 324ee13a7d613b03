"""Bringing what runs say here to Redis: everything new of all runs in one round trip, some fifty times a second."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

import structlog

from chatorch.adapters.redis.entries import (
    ENDED_MS,
    LIVE_MS,
    Fact,
    Head,
    base_key,
    base_of,
    channel,
    encode,
    entry_of,
    fencing,
    log_key,
)
from chatorch.adapters.redis.link import Away, RedisLink
from chatorch.adapters.redis.scripts import PUBLISH, Command
from chatorch.domain.model.content import START, Content
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.parts import Facts, PartKind
from chatorch.domain.model.run import RunStarted, TerminalEvent
from chatorch.ports.run_log import RunLog

PUBLISH_S = 0.02
RETRY_S = 0.2
AT_ONCE = 200
AT_ONCE_BYTES = 500_000
REBASE_EVERY = 256
"""Entries; those before a base are trimmed away."""

KEPT_S = 300.0
MOST_KEPT = 1000
MOST_KEPT_CHARS = 20_000_000
REFUSED, BASE_IS_GONE = 0, 2

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Outgoing:
    """A run that is executed here. `news` is not published yet, and follows the position `told`; `whole` is all its
    content once it has ended. `parted`: it has other parts than its first text.
    """

    epoch: int
    started: RunStarted
    tip: int = START
    told: int = START
    news: list[Fact] = field(default_factory=list)
    entries: int = 0
    based: bool = False
    parted: bool = False
    whole: Content = field(default_factory=Content)
    terminal: TerminalEvent | None = None


class LogPublisher:
    """Publishes what it is told of, and keeps what ended while Redis was away, within bounds: time, number and text.

    After anything that went wrong all text is published once more: Redis may have lost what it had.
    """

    def __init__(self, link: RedisLink, local: RunLog, *, rebase_every: int = REBASE_EVERY) -> None:
        self._link = link
        self._local = local
        self._rebase_every = rebase_every
        self._runs: dict[RunId, _Outgoing] = {}
        self._ended: dict[RunId, float] = {}
        self._ended_chars = 0
        self._new: dict[RunId, None] = {}
        self._wake = asyncio.Event()
        link.on_return(self._base_all)

    def open(self, run_id: RunId, epoch: int, started: RunStarted) -> None:
        self._runs[run_id] = _Outgoing(epoch, started)
        self._mark(run_id)

    def append(self, run_id: RunId, text: str) -> None:
        run = self._runs.get(run_id)
        if run is None:
            return
        run.tip += len(text)
        self._add(run_id, run, text)

    def start_part(self, run_id: RunId, kind: PartKind, head: Facts) -> None:
        self._add_head(run_id, Head(kind.value, dict(head)))

    def end_part(self, run_id: RunId, result: Facts) -> None:
        self._add_head(run_id, Head("", dict(result)))

    def _add_head(self, run_id: RunId, head: Head) -> None:
        if run := self._runs.get(run_id):
            run.tip += 1
            run.parted = True
            self._add(run_id, run, head)

    def _add(self, run_id: RunId, run: _Outgoing, fact: Fact) -> None:
        if run.based:
            run.news.append(fact)
        if run_id not in self._new:
            self._mark(run_id)

    def end(self, run_id: RunId, whole: Content, terminal: TerminalEvent) -> None:
        if run := self._runs.get(run_id):
            run.whole, run.terminal = whole, terminal
            self._ended[run_id] = asyncio.get_running_loop().time()
            self._ended_chars += whole.weight
            self._mark(run_id)
            self._forget_old()

    def abandon(self, run_id: RunId) -> None:
        """Others are told that there is no more to come from here."""
        if run := self._runs.get(run_id):
            self._drop(run_id)
            self._link.post(fencing(self._link, run_id, run.epoch, ENDED_MS))

    async def keep(self) -> None:
        """For ever: publishes."""
        while True:
            await self._wake.wait()
            await self._link.until_up()
            try:
                await self.publish()
            except Away:
                await asyncio.sleep(RETRY_S)
            except Exception as error:  # runs to come must be published
                log.warning("redis_publishing_failed", error=type(error).__qualname__)
                await asyncio.sleep(RETRY_S)
            else:
                await asyncio.sleep(PUBLISH_S)

    async def publish(self) -> None:
        """Publishes everything that is new. Raises `Away`; then it is new still."""
        self._wake.clear()
        while self._new:
            batch = self._batch()
            try:
                [outcomes] = await self._link.ask(self._publishing(batch))
            except BaseException:
                self._base(batch)
                raise
            for run_id, outcome in zip(batch, outcomes, strict=True):
                self._published(run_id, outcome)

    # -- one round trip --------------------------------------------------------------------------------------------

    def _publishing(self, batch: dict[RunId, tuple[bytes, ...]]) -> Command:
        """One command for all: half the time of one each."""
        keys = [key for run_id in batch for key in (log_key(self._link, run_id), base_key(self._link, run_id))]
        return PUBLISH(keys, *chain.from_iterable(batch.values()))

    def _batch(self) -> dict[RunId, tuple[bytes, ...]]:
        batch: dict[RunId, tuple[bytes, ...]] = {}
        size = 0
        while self._new and len(batch) < AT_ONCE and size < AT_ONCE_BYTES:
            run_id = next(iter(self._new))
            del self._new[run_id]
            run = self._runs.get(run_id)
            if run is None:
                continue
            try:
                batch[run_id] = parcel = self._parcel(run_id, run)
            except UnicodeEncodeError:  # a lone surrogate: others must do with the row
                self.abandon(run_id)
                continue
            size += sum(map(len, parcel))
        return batch

    def _parcel(self, run_id: RunId, run: _Outgoing) -> tuple[bytes, ...]:
        told = run.told if run.based else run.tip
        entry = entry_of(run.epoch, told, run.news, run.terminal, parted=run.parted)
        run.news.clear()
        run.told = run.tip
        base = b""
        if not run.based or run.entries >= self._rebase_every:
            run.based, run.entries = True, 0
            whole = run.whole if run.terminal else self._local.content(run_id) or Content()
            base = encode(base_of(run.epoch, run.started, whole))
        run.entries += 1
        seq = run.tip + 1 if run.terminal else run.tip
        life = ENDED_MS if run.terminal else LIVE_MS
        name = channel(self._link, run_id).encode()
        return b"%d" % run.epoch, b"%d" % seq, encode(entry), base, b"%d" % life, name

    def _published(self, run_id: RunId, outcome: int) -> None:
        run = self._runs.get(run_id)
        if run is None:
            return
        if outcome == REFUSED:
            # Somebody else ended it; the next checkpoint tells its executor.
            self._drop(run_id)
        elif outcome == BASE_IS_GONE:
            self._base([run_id])
        elif run.terminal is not None and run_id not in self._new:
            self._drop(run_id)

    # -- bookkeeping -----------------------------------------------------------------------------------------------

    def _mark(self, run_id: RunId) -> None:
        self._new[run_id] = None
        self._wake.set()

    def _drop(self, run_id: RunId) -> None:
        run = self._runs.pop(run_id, None)
        if self._ended.pop(run_id, None) is not None and run is not None:
            self._ended_chars -= run.whole.weight
        self._new.pop(run_id, None)

    def _base_all(self) -> None:
        self._forget_old()
        self._base(list(self._runs))

    def _base(self, run_ids: Iterable[RunId]) -> None:
        """All text of these must be published again."""
        for run_id in run_ids:
            if run := self._runs.get(run_id):
                run.based = False
                run.news.clear()
                self._mark(run_id)

    def _forget_old(self) -> None:
        oldest = asyncio.get_running_loop().time() - KEPT_S
        while self._ended:
            run_id, ended_at = next(iter(self._ended.items()))
            if ended_at > oldest and len(self._ended) <= MOST_KEPT and self._ended_chars <= MOST_KEPT_CHARS:
                return
            self._drop(run_id)
