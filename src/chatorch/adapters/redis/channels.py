"""One connection that hears what is published, for as long as there is a Redis to hear it from."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import structlog
from redis.asyncio.connection import AbstractConnection

from chatorch.adapters.redis.tasks import ended

PING_S = 0.5
UNANSWERED = 3
"""Pings in a row; then the connection is lost. Counted, not timed: a stalled loop must not look like an outage."""

BACKOFF_S = 0.1
MAX_BACKOFF_S = 0.5
AT_ONCE = 500

Hear = Callable[[bytes], None]

log = structlog.get_logger(__name__)


class Channels:
    """Which channels are heard, and by whom. Hearing never waits.

    `came` is called when the connection stands and every channel is confirmed; `went` with the error when it, or an
    attempt to get it, is lost. Channels stay wanted across losses. `dial` gives a connection that stands.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable[AbstractConnection]],
        came: Callable[[], None],
        went: Callable[[Exception], None],
    ) -> None:
        self._dial = dial
        self._came = came
        self._went = went
        self._wanted: dict[bytes, Hear] = {}
        self._subscribed: set[bytes] = set()
        self._unconfirmed: dict[bytes, int] = {}
        self._waiting: dict[bytes, list[asyncio.Future[bool]]] = {}
        self._changed: set[bytes] = set()
        self._wake = asyncio.Event()
        self._connected = False
        self._standing = False
        self._unanswered = 0
        self._ignored = False
        self._given_up: asyncio.Future[None] | None = None

    def listen(self, channel: str, hear: Hear) -> None:
        """From its confirmation on, `hear` gets every message of the channel."""
        self._wanted[channel.encode()] = hear
        self._change(channel.encode())

    def forget(self, channel: str) -> None:
        name = channel.encode()
        self._wanted.pop(name, None)
        self._answer(name, False)
        self._change(name)

    def confirmed(self, channel: str) -> asyncio.Future[bool]:
        """Done with True once the channel is heard; with False if the connection is, or gets, lost before that."""
        name = channel.encode()
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if not self._connected:
            future.set_result(False)
        elif name in self._subscribed and name not in self._changed and name not in self._unconfirmed:
            future.set_result(True)
        else:
            self._waiting.setdefault(name, []).append(future)
        return future

    def give_up(self, error: Exception) -> None:
        """The connection is of no use, though it stands: it is lost by `error`, and another one dialled."""
        if self._given_up is not None and not self._given_up.done():
            self._given_up.set_exception(error)

    async def keep(self) -> None:
        """For ever: connects, hears, and connects again."""
        backoff = BACKOFF_S
        try:
            while True:
                try:
                    await self._hear()
                except Exception as error:  # whatever it was: the next attempt must come
                    backoff = BACKOFF_S if self._standing else min(backoff * 2, MAX_BACKOFF_S)
                    self._lose()
                    self._went(error)
                await asyncio.sleep(backoff)
        finally:
            self._lose()

    # -- one connection --------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        """Until the connection breaks: raises what broke it."""
        connection = await self._dial()
        tasks: list[asyncio.Task[None]] = []
        self._given_up = given_up = asyncio.get_running_loop().create_future()
        try:
            self._connected = True
            self._unanswered = 0
            self._ignored = False
            self._changed.update(self._wanted)
            tasks = [asyncio.ensure_future(self._write(connection)), asyncio.ensure_future(self._read(connection))]
            done, _ = await asyncio.wait([*tasks, given_up], return_when=asyncio.FIRST_COMPLETED)
            for why in done:
                why.result()
        finally:
            given_up.cancel()
            await ended(tasks)
            await connection.disconnect(nowait=True)

    async def _write(self, connection: AbstractConnection) -> None:
        loop = asyncio.get_running_loop()
        ping_at = loop.time()
        while True:
            await self._send_changes(connection)
            if loop.time() >= ping_at:
                if self._unanswered >= UNANSWERED:
                    raise TimeoutError
                self._unanswered += 1
                # Answered in its turn: the first answer comes after the confirmations of all that was wanted.
                await connection.send_command("PING", check_health=False)
                ping_at = loop.time() + PING_S
            try:
                async with asyncio.timeout_at(ping_at):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def _send_changes(self, connection: AbstractConnection) -> None:
        while self._changed:
            names = [self._changed.pop() for _ in range(min(len(self._changed), AT_ONCE))]
            begun = [name for name in names if name in self._wanted and name not in self._subscribed]
            left = [name for name in names if name not in self._wanted and name in self._subscribed]
            for name in begun:
                self._unconfirmed[name] = self._unconfirmed.get(name, 0) + 1
            self._subscribed.update(begun)
            self._subscribed.difference_update(left)
            for name in names:
                if name in self._subscribed and name not in self._unconfirmed:
                    self._answer(name, True)
            if begun:
                await connection.send_command("SUBSCRIBE", *begun, check_health=False)
            if left:
                await connection.send_command("UNSUBSCRIBE", *left, check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            heard = await connection.read_response(timeout=math.inf, disconnect_on_error=False)
            self._unanswered = 0
            match heard:
                case [b"message", channel, data]:
                    self._hand_over(channel, data)
                case [b"subscribe", channel, _]:
                    self._confirm(channel)
                case [b"unsubscribe", _, _]:
                    pass
                case _ if not self._standing:
                    self._standing = True
                    self._came()

    def _hand_over(self, channel: bytes, data: bytes) -> None:
        hear = self._wanted.get(channel)
        if hear is None:
            return
        try:
            hear(data)
        except Exception as error:  # one message that is not understood must not end the hearing
            if not self._ignored:
                log.warning("redis_message_ignored", error=type(error).__qualname__)
            self._ignored = True

    # -- bookkeeping -----------------------------------------------------------------------------------------------

    def _change(self, name: bytes) -> None:
        if self._connected:
            self._changed.add(name)
            self._wake.set()

    def _confirm(self, name: bytes) -> None:
        left = self._unconfirmed.pop(name, 1) - 1
        if left:
            self._unconfirmed[name] = left
        elif name in self._subscribed:
            self._answer(name, True)

    def _answer(self, name: bytes, heard: bool) -> None:
        for future in self._waiting.pop(name, ()):
            if not future.done():
                future.set_result(heard)

    def _lose(self) -> None:
        self._connected = self._standing = False
        self._subscribed.clear()
        self._unconfirmed.clear()
        self._changed.clear()
        for name in list(self._waiting):
            self._answer(name, False)
