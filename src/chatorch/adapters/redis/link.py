"""The one way of a process to Redis: commands that never wait long, channels, and word of its going and coming."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, RedisError

from chatorch.adapters.redis.address import COMMAND_S, way_to
from chatorch.adapters.redis.channels import Channels, Hear
from chatorch.adapters.redis.command_pipeline import Answered, Away, CommandPipeline, Posted
from chatorch.adapters.redis.faults import MISTAKE, PAUSED, Cure, Fault, fault_of
from chatorch.adapters.redis.health import REMIND_S, RedisHealth
from chatorch.adapters.redis.scripts import Command
from chatorch.adapters.redis.tasks import ended
from chatorch.adapters.redis.vetting import SOURCES, vet, writing

START_S = 2.0
CLOSE_S = 0.5
DIAL_S = 3.0
LOOK_S = 1.0
MISSED = 2
"""Writes in a row that are not answered, by one that answers pings."""
PREFIX = "chatorch:"

__all__ = ["Away", "RedisLink", "RedisRefused"]


class RedisRefused(Exception):
    """There is a Redis that will not do until somebody changes a setting. The text names it, and says what to do."""


class RedisLink:
    """Connects in the background, and again whenever it must; nothing here depends on Redis being there.

    `up` says whether it is, `fault` what is wrong: while it is away, or there and refusing. Whether one that is stopped
    in its tracks is there is noticed within two seconds; until then every command ends by its own deadline. Whether it
    takes writes is looked at every `look_s`; where its address may lead to another node by now, all connections are
    dropped and made anew. All keys and channels begin with `prefix` and the database's number, since
    channels know no databases. Raises `ValueError`, in one line that repeats no password, for a wrong URL.
    """

    def __init__(self, url: str, *, prefix: str = PREFIX, remind_s: float = REMIND_S, look_s: float = LOOK_S) -> None:
        self._way = way_to(url)
        self._pool = self._way.pool
        self.prefix = key_prefix(prefix, self._way.database)
        self.process = secrets.token_hex(6)
        self.up = False
        self._client = Redis(connection_pool=self._pool)
        self._channels = Channels(self._dial, self._came, self._went)
        self._pipeline = CommandPipeline(self.each, self.until_up)
        self._returned: list[Callable[[], None]] = []
        self._is_up = asyncio.Event()
        self._tried = asyncio.Event()
        self._health = RedisHealth(remind_s)
        self._starting = False
        self._look_s = look_s
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def fault(self) -> Fault | None:
        return self._health.fault

    async def start(self) -> None:
        """Returns when it is connected, or the first attempt has failed. Raises `RedisRefused`."""
        self._starting = True
        self._tasks = [
            asyncio.ensure_future(each) for each in (self._channels.keep(), self._pipeline.keep(), self._look())
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                await self._tried.wait()
        self._starting = False
        if not self.up and self.fault is not None and self.fault.cure is Cure.MEND:
            await self.aclose()
            raise RedisRefused(f"the Redis that REDIS_URL names will not do: {self.fault}")

    async def aclose(self) -> None:
        """Sends what was posted, if that takes no time, and lets go."""
        if self.up:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._pipeline.sent()
        self.up = False
        self._is_up.clear()
        await ended(self._tasks)
        with suppress(RedisError, OSError):
            await self._pool.disconnect()

    # -- commands --------------------------------------------------------------------------------------------------

    async def ask(self, *commands: Command, within: float = COMMAND_S) -> list[Any]:
        """The answers to commands, in one round trip; nothing makes them one transaction. Raises `Away`."""
        answers = await self.each(*commands, within=within)
        for answer in answers:
            if isinstance(answer, Exception):
                raise Away from answer
        return answers

    async def each(self, *commands: Command, within: float = COMMAND_S) -> list[Any]:
        """As `ask`, with the error in the place of each answer that Redis refused."""
        if not self.up:
            raise Away
        try:
            async with asyncio.timeout(within):
                answers = await self._answers(commands)
        except Exception as error:
            self._refused(error)
            raise Away from error
        for answer in answers:
            if isinstance(answer, Exception):
                self._refused(answer)
        return answers

    def post(self, command: Posted, answered: Answered | None = None, *, keep_s: float = 0.0) -> None:
        """Sends a command behind the scenes; see `CommandPipeline.post`. While Redis is away, what is kept waits."""
        if self.up or keep_s:
            self._pipeline.post(command, answered, keep_s=keep_s)
        elif answered is not None:
            answered(None)

    async def until_up(self) -> None:
        await self._is_up.wait()

    async def _answers(self, commands: Sequence[Command]) -> list[Any]:
        answers = await self._round_trip(commands)
        unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            await self._round_trip([("SCRIPT", "LOAD", source) for source in SOURCES])
            again = await self._round_trip([commands[index] for index in unknown])
            for index, answer in zip(unknown, again, strict=True):
                answers[index] = answer
        return answers

    async def _round_trip(self, commands: Sequence[Command]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    # -- channels --------------------------------------------------------------------------------------------------

    def listen(self, channel: str, hear: Hear) -> None:
        """From its confirmation on, and again after every return, `hear` gets the channel's messages."""
        self._channels.listen(channel, hear)

    def forget(self, channel: str) -> None:
        self._channels.forget(channel)

    def confirmed(self, channel: str) -> asyncio.Future[bool]:
        """Whether the channel is heard now, as soon as that is known; see `Channels.confirmed`."""
        return self._channels.confirmed(channel)

    def on_return(self, returned: Callable[[], None]) -> None:
        """Called whenever Redis is there, at first or again, with all channels confirmed. It may have come empty."""
        self._returned.append(returned)

    # -- going and coming ------------------------------------------------------------------------------------------

    async def _dial(self) -> AbstractConnection:
        """A connection to a Redis that will do. Those that led to another one are dropped."""
        await self._pool.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]
        await self._pool.disconnect(inuse_connections=False)
        return await self._vetted()

    async def _vetted(self) -> AbstractConnection:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(DIAL_S):
                await connection.connect()  # type: ignore[no-untyped-call]
                if refusal := await vet(connection, self.prefix, self.process):
                    self._refused(refusal)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def _look(self) -> None:
        """For ever: whether it takes writes, also where nobody has any to make."""
        missed = 0
        while True:
            await asyncio.sleep(self._look_s)
            if not self.up:
                missed = 0
                continue
            refusal = self._health.refusal
            try:
                if refusal is not None and refusal.cure is Cure.MEND:
                    # It may be about another command, or a new connection.
                    await (await self._vetted()).disconnect(nowait=True)
                await self.ask(writing(self.prefix, self.process))
            except Away as error:
                missed += 1
                if missed >= MISSED and fault_of(error).name == "timeout":
                    self._health.refuses(PAUSED, error)
            except Exception as error:
                self._refused(error)
            else:
                missed = 0
                self._health.obeys()

    def _came(self) -> None:
        self._health.came()
        self.up = True
        self._is_up.set()
        self._tried.set()
        for returned in self._returned:
            returned()

    def _went(self, error: Exception) -> None:
        fault = fault_of(error)
        self._health.went(fault, quiet=self._starting and fault.cure is Cure.MEND)
        self.up = False
        self._is_up.clear()
        self._tried.set()
        self._pipeline.drop()
        if self._way.sentinels is not None:
            self._way.sentinels.doubt()

    def _refused(self, error: Exception) -> None:
        fault = fault_of(error)
        if fault.refuses or fault is MISTAKE:
            self._health.refuses(fault, error)
        elif fault.cure is not Cure.WAIT:
            self._channels.give_up(error)


def key_prefix(prefix: str, database: int) -> str:
    """No two prefixes and numbers give the same: after a digit, the number is set apart."""
    return f"{prefix}{'|' if prefix[-1:].isdigit() else ''}{database}:"
