"""Cancels, watchers, last contents and fencing over Redis."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping

import msgspec

from chatorch.adapters.redis.entries import LIVE_MS, fencing, reading, stored_of, watch_key
from chatorch.adapters.redis.link import Away, RedisLink
from chatorch.adapters.redis.scripts import WATCHED
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.run import LastContent
from chatorch.ports.run_control import CancelCall, RunControl

WATCHED_S = 0.5
FENCE_FOR_S = 600.0
READ_AT_ONCE = 50


class _Cancel(msgspec.Struct, array_like=True):
    process: str
    call: CancelCall


_decode = msgspec.msgpack.Decoder(_Cancel).decode


class RedisRunControl(RunControl):
    """`fence` is tried for ten minutes if it must be; everything else is worth something only at once."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._channel = f"{link.prefix}cancel"
        self._writable = f"{link.prefix}writable"
        self._listeners: set[asyncio.Queue[CancelCall]] = set()

    def cancel(self, call: CancelCall) -> None:
        told = msgspec.msgpack.encode(_Cancel(self._link.process, call))
        self._link.post(("PUBLISH", self._channel, told))

    async def cancelled(self) -> AsyncGenerator[CancelCall]:
        heard: asyncio.Queue[CancelCall] = asyncio.Queue()
        self._listeners.add(heard)
        self._link.listen(self._channel, self._hear)
        try:
            while True:
                yield await heard.get()
        finally:
            self._listeners.discard(heard)
            if not self._listeners:
                self._link.forget(self._channel)

    async def watched(self, run_ids: Collection[RunId]) -> frozenset[RunId]:
        if not run_ids:
            return frozenset()
        asked = list(run_ids)
        try:
            keys = [watch_key(self._link, run_id) for run_id in asked]
            command = WATCHED(keys, self._writable, round(WATCHED_S * 1000))
            [followed] = await self._link.ask(command, within=WATCHED_S)
        except Away:
            return frozenset(asked)
        return frozenset(run_id for run_id, count in zip(asked, followed, strict=True) if count)

    async def last_content(self, run_ids: Collection[RunId]) -> Mapping[RunId, LastContent]:
        asked, found = list(run_ids), dict[RunId, LastContent]()
        for first in range(0, len(asked), READ_AT_ONCE):
            some = asked[first : first + READ_AT_ONCE]
            try:
                answers = await self._link.ask(*(command for run_id in some for command in reading(self._link, run_id)))
            except Away:
                break
            for run_id, entries, base in zip(some, answers[::2], answers[1::2], strict=True):
                if (last := stored_of(entries, base).last_content()) is not None:
                    found[run_id] = last
        return found

    def fence(self, run_id: RunId, epoch: int) -> None:
        self._link.post(fencing(self._link, run_id, epoch, LIVE_MS), keep_s=FENCE_FOR_S)

    def _hear(self, data: bytes) -> None:
        told = _decode(data)
        if told.process != self._link.process:
            for listener in self._listeners:
                listener.put_nowait(told.call)
