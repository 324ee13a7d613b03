"""A server's session: made, kept, and made again when it is over, with what the server offers read anew each time."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import mcp_types as types
from mcp import MCPError
from mcp.client._transport import TransportStreams
from mcp.client.client import Client
from mcp.client.session import ClientSession

from chatorch.adapters.tools.mcp import failures
from chatorch.adapters.tools.mcp.child import NotStarted
from chatorch.adapters.tools.mcp.giving_up import within
from chatorch.adapters.tools.mcp.http import http_transport
from chatorch.adapters.tools.mcp.incoming import Incoming
from chatorch.adapters.tools.mcp.offers import MAX_TOOLS, Offer, Sieve
from chatorch.adapters.tools.mcp.redaction import Redaction
from chatorch.adapters.tools.mcp.servers import McpServer
from chatorch.adapters.tools.mcp.stdio import stdio_transport

MAX_PAGES = 20
RELISTEN_S = 1.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. Between two attempts `first_pause`, then twice that, up to `most_pause`; a random part of it, so that
    the workers of many processes do not come at once.

    `refresh`: after how long a list is read again though nobody said that it changed; that also finds out whether the
    server is still there. `patience`: how long a call waits for a connection that is being made; `first`: how long who
    must know what there is waits for the first answer. `steady`: what a session must last, for the next one to be made
    without a pause.
    """

    connect: float = 30
    first_pause: float = 0.5
    most_pause: float = 30
    refresh: float = 60
    between_lists: float = 1
    listing: float = 10
    between_attempts: float = 1
    patience: float = 2
    first: float = 5
    steady: float = 5


class Connection:
    """One server's. What it offered last stays offered while it is away: see `McpTools`.

    `session` is None while it is away; `problem` says why, once an attempt has failed or a session has ended, and
    `last_words` what a program that ended said last on stderr.
    """

    def __init__(self, server: McpServer, times: Times, changed: Callable[[], None]) -> None:
        self.server = server
        self.offers: Mapping[str, Offer] = {}
        self.session: ClientSession | None = None
        self.problem: str | None = None
        self.last_words = ""
        self._times = times
        self._changed = changed
        self._sieve = Sieve(server)
        self._redaction = Redaction(server)
        self._attempt_over = asyncio.Event()
        self._tried = asyncio.Event()
        self._wanted = asyncio.Event()
        self._look = asyncio.Event()
        self._gone = asyncio.Event()
        self._attempting = False
        self._failed_at = float("-inf")
        self._was_told_away = False
        self._program_end: str | None = None
        self._calls: set[asyncio.Future[None]] = set()

    async def keep(self) -> None:
        """For ever."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            cause = await self._attempt()
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError  # which a failure at the same time may have covered up
            self._leave(cause, loop.time())
            failures = 0 if loop.time() - began > self._times.steady else failures + 1
            pause = min(self._times.most_pause, self._times.first_pause * 2 ** min(failures - 1, 16)) if failures else 0
            await _happens_within(pause * random.uniform(0.5, 1), self._wanted)  # noqa: S311  # no secret

    async def connected(self, patience: float) -> ClientSession | None:
        """The session; where there is none, that of the next attempt, which is made at once. None where it fails, or
        where another one has just failed."""
        if self.session is None:
            if not self._attempting:
                if asyncio.get_running_loop().time() - self._failed_at < self._times.between_attempts:
                    return None
                self._attempt_over.clear()
                self._wanted.set()
            await _happens_within(min(patience, self._times.patience), self._attempt_over)
        return self.session

    async def tried(self) -> None:
        """Returns when it has been tried once, or has had its time."""
        await _happens_within(self._times.first, self._tried)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """As long as somebody waits for a call."""
        over = asyncio.get_running_loop().create_future()
        self._calls.add(over)
        try:
            yield
        finally:
            self._calls.discard(over)
            over.set_result(None)

    def look_again(self) -> None:
        """Finds out what there is now, soon: whether the server is there, and what it offers."""
        self._look.set()

    def end(self, session: ClientSession) -> None:
        """The server knows this session no more."""
        if session is self.session:
            self.session = None
            self._attempt_over.clear()
            self._look.set()
            self._gone.set()

    async def _attempt(self) -> BaseException | None:
        """One session, from its beginning to its end. Returns why it ended, where there is a reason."""
        self._attempting, self._program_end, self.last_words = True, None, ""
        for event in (self._wanted, self._look, self._gone, self._attempt_over):
            event.clear()
        try:
            async with AsyncExitStack() as stack:
                client = Client(
                    self._transport(),
                    cache=None,
                    message_handler=self._on_message,
                    client_info=types.Implementation(name="chatorch", version="1"),
                )
                async with asyncio.timeout(self._times.connect):
                    await stack.enter_async_context(client)
                await self._live(client)
        except (Exception, BaseExceptionGroup) as error:  # whatever a server or the package comes up with: tried again
            return error
        return None

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[TransportStreams]:
        transport: AbstractAsyncContextManager[TransportStreams]
        if self.server.command:
            transport = stdio_transport(self.server, self._redaction, self._is_ready, self._on_program_end)
        else:
            transport = http_transport(self.server)
        async with transport as (incoming, outgoing):
            yield Incoming(incoming, self._sieve, self._redaction, self._on_end), outgoing

    async def _live(self, client: Client) -> None:
        session = client.session
        await self._read_offers(session)
        self.session, self.problem = session, None
        self._attempting, self._was_told_away = False, False
        self._attempt_over.set()
        self._tried.set()
        told = {"server": self.server.name, "tools": len(self.offers)}
        _logger.info("mcp_connected: %(server)s, %(tools)s tools", told)
        listening = asyncio.create_task(_listen(client, self.look_again))
        try:
            while session is self.session:
                await _happens_within(self._times.refresh, self._look)
                self._look.clear()
                if session is self.session:
                    await self._read_offers_again(session)
                    await _happens_within(self._times.between_lists, self._gone)
        finally:
            listening.cancel()

    async def _read_offers_again(self, session: ClientSession) -> None:
        """A server that is held up by a call answers nothing else: such calls may end, or have their time, before it
        counts as gone, and they with it."""
        calls = set(self._calls)
        try:
            await self._read_offers(session)
        except TimeoutError:
            calls |= self._calls  # one that began meanwhile may have come before the question
            if not calls:
                raise
            await asyncio.wait(calls, timeout=self.server.timeout_s)
            await self._read_offers(session)

    async def _read_offers(self, session: ClientSession) -> None:
        offers = self._sieve.offers(await within(self._times.listing, _listed(session)))
        if offers != self.offers:
            self.offers = offers
            self._changed()

    async def _on_message(self, message: object) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self.look_again()

    def _on_end(self) -> None:
        if self.session is not None:
            self.end(self.session)

    def _is_ready(self) -> bool:
        """Or was, as long as what it was ready for lasts."""
        return not self._attempting

    def _on_program_end(self, how: str, last_words: str) -> None:
        self._program_end, self.last_words = how, last_words

    def _leave(self, cause: BaseException | None, now: float) -> None:
        self.session, self.problem = None, self._program_end or _kind(cause)
        self._tried.set()
        if self._attempting:
            self._attempting, self._failed_at = False, now
            self._attempt_over.set()
        if not self._was_told_away:
            self._was_told_away = True
            told = {"server": self.server.name, "reason": self.problem}
            _logger.warning("mcp_server_away: %(server)s: %(reason)s", told)


async def _listed(session: ClientSession) -> list[types.Tool]:
    found: list[types.Tool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
        found += page.tools
        cursor = page.next_cursor
        if not cursor or len(found) > MAX_TOOLS:
            break
    return found


async def _listen(client: Client, changed: Callable[[], None]) -> None:
    """Asks to be told when the list changes, of a server that tells nobody else (MCP 2026-07-28, subscriptions/listen).

    Where it does not, the list is read now and then all the same.
    """
    can = client.server_capabilities.tools
    if client.session.discover_result is None or can is None or not can.list_changed:
        return
    while True:
        with suppress(RuntimeError):  # a subscription that was lost
            try:
                async with client.listen(tools_list_changed=True) as events:
                    changed()
                    async for _ in events:
                        changed()
            except MCPError as error:
                if error.code == types.METHOD_NOT_FOUND:
                    return
        await asyncio.sleep(RELISTEN_S)


async def _happens_within(seconds: float, event: asyncio.Event) -> None:
    """Waits for it, and no longer than so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _kind(cause: BaseException | None) -> str:
    """In our words, or its type alone: what a package says of an error may quote what a server said."""
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, NotStarted):
        return str(cause)
    if isinstance(cause, MCPError):
        return cause.message if cause.code in failures.OURS else f"it answered with the error {cause.code}"
    return "the session ended" if cause is None else type(cause).__name__
