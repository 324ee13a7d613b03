"""The one way of a process to Redis: commands that never wait long, channels, and word of its going and coming."""

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import BlockingConnectionPool, ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoScriptError, RedisError
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as TimedOut

from chatorch.adapters.redis.channels import Channels, Hear
from chatorch.adapters.redis.outbox import Answered, Away, Outbox, Posted
from chatorch.adapters.redis.scripts import ALL, Command
from chatorch.adapters.redis.tasks import ended

COMMAND_S = 1.0
START_S = 2.0
CLOSE_S = 0.5
REMIND_S = 60.0
PREFIX = "chatorch:"
CONNECTIONS = 16

_CODE = re.compile(
    r"\b(OOM|READONLY|NOAUTH|WRONGPASS|NOPERM|LOADING|MISCONF|BUSY|MASTERDOWN|NOREPLICAS|NOSCRIPT|WRONGTYPE"
    r"|CLUSTERDOWN|CROSSSLOT|MOVED)\b"
)

__all__ = ["Away", "RedisLink"]

log = structlog.get_logger(__name__)


class RedisLink:
    """Connects in the background, and again whenever it must; nothing here depends on Redis being there.

    `up` says whether it is. Whether one that is stopped in its tracks is there is noticed within two seconds; until
    then every command ends by its own deadline. All keys and channels begin with `prefix` and the database's number,
    since channels know no databases. While it refuses commands, the log says so every `remind_s`. Raises `ValueError`,
    in one line that repeats no password, for a wrong URL.
    """

    def __init__(self, url: str, *, prefix: str = PREFIX, remind_s: float = REMIND_S) -> None:
        self._pool = _pool(url)
        self.prefix = f"{prefix}{self._pool.connection_kwargs.get('db', 0)}:"
        self.process = secrets.token_hex(6)
        self.up = False
        self._client = Redis(connection_pool=self._pool)
        self._channels = Channels(self._pool.make_connection, self._came, self._went)
        self._outbox = Outbox(self.each, self.until_up)
        self._returned: list[Callable[[], None]] = []
        self._is_up = asyncio.Event()
        self._tried = asyncio.Event()
        self._lost = False
        self._remind_s = remind_s
        self._refusal_told_at: float | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns when it is connected, or the first attempt has failed."""
        self._tasks = [asyncio.ensure_future(self._channels.keep()), asyncio.ensure_future(self._outbox.keep())]
        with suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                await self._tried.wait()

    async def aclose(self) -> None:
        """Sends what was posted, if that takes no time, and lets go."""
        if self.up:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._outbox.sent()
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
            if not isinstance(error, ConnectionLost | TimedOut | OSError):
                self._log_refusal(error)
            raise Away from error
        for answer in answers:
            if isinstance(answer, Exception):
                self._log_refusal(answer)
        return answers

    def post(self, command: Posted, answered: Answered | None = None, *, keep_s: float = 0.0) -> None:
        """Sends a command behind the scenes; see `Outbox.post`. While Redis is away, only what is to be kept waits."""
        if self.up or keep_s:
            self._outbox.post(command, answered, keep_s=keep_s)
        elif answered is not None:
            answered(None)

    async def until_up(self) -> None:
        await self._is_up.wait()

    async def _answers(self, commands: Sequence[Command]) -> list[Any]:
        answers = await self._round_trip(commands)
        unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            await self._round_trip([("SCRIPT", "LOAD", script.source) for script in ALL])
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

    def _came(self) -> None:
        if self._lost:
            log.info("redis_back")
        self._lost = False
        self.up = True
        self._is_up.set()
        self._tried.set()
        for returned in self._returned:
            returned()

    def _went(self, error: Exception) -> None:
        if not self._lost:
            log.warning("redis_lost", reason=_reason(error))
        self._lost = True
        self.up = False
        self._is_up.clear()
        self._tried.set()
        self._outbox.drop()

    def _log_refusal(self, error: Exception) -> None:
        """Now and then, while it lasts: full, read-only, or a mistake of ours. Only the code; the rest may quote."""
        now = time.monotonic()
        if self._refusal_told_at is None or now - self._refusal_told_at >= self._remind_s:
            self._refusal_told_at = now
            log.warning("redis_refuses", code=_code(error))


def _code(error: Exception) -> str:
    """Which of Redis's it is; of what befell a script, it stands somewhere in the text. Else the error's type."""
    found = _CODE.search(f"{getattr(error, 'status_code', '')} {error}") if isinstance(error, RedisError) else None
    return found[0] if found else type(error).__qualname__


def _reason(error: Exception) -> str:
    if isinstance(error, AuthenticationError):
        return "it refuses the user or the password; see REDIS_URL"
    return f"it does not answer ({type(error).__qualname__})"


def _pool(url: str) -> ConnectionPool:
    """RESP2, because redis-py logs what is pushed to it over RESP3."""
    try:
        options: dict[str, Any] = dict(parse_url(url))
        for ours in ("protocol", "timeout", "decode_responses", "retry_on_timeout"):
            options.pop(ours, None)
        options.update(
            protocol=2,
            socket_timeout=COMMAND_S,
            socket_connect_timeout=COMMAND_S,
            health_check_interval=0,
            retry=Retry(NoBackoff(), 0),
        )
        # Whoever finds them all in use waits for one, for as long as the command's own deadline lets it.
        pool = BlockingConnectionPool(**{"max_connections": CONNECTIONS, **options, "timeout": None})
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, RedisError):
        # What they say may repeat a part of the password.
        form = "redis://user:password@host:6379/0, rediss://… or unix:///path"
        raise ValueError(f"REDIS_URL is not a Redis URL; write {form}") from None
    return pool
