"""The tools of any number of MCP servers."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatorch.adapters.tools.mcp.calls import call
from chatorch.adapters.tools.mcp.connection import Connection, Times
from chatorch.adapters.tools.mcp.names import server_in
from chatorch.adapters.tools.mcp.servers import McpServer
from chatorch.domain.model.tools import Tool
from chatorch.ports.tools import ToolContext, ToolError, ToolOutput, ToolProgress, Tools

QUIET = ("client", "mcp")
"""Loggers of the official package, which quote what servers say. What an operator must know is said here."""


@dataclass(frozen=True, slots=True)
class Found:
    """How many tools a server has, and why it is not there; None where it is. `last_words` of a program that ended are
    its own, and may be anything; else empty."""

    tools: int
    problem: str | None
    last_words: str


class McpTools(Tools):
    """Servers by different names, each over one session that `keep_connected` keeps.

    A server that goes away takes none of its tools along: they stay offered as it listed them last, and each call
    fails, until it is back and lists them anew. A model that has called a tool in a conversation would otherwise be
    told now and then that there is none, and answer by that; this way it reads that the server is not there, and can
    say so. Of a server that has never answered nothing is offered. A call of one of its tools, which somebody agreed to
    before this process began, waits a moment for it all the same (`may_have`).

    Nothing is advertised to servers that they could ask of us (sampling, elicitation, roots), and what they ask is
    refused.
    """

    def __init__(self, servers: Sequence[McpServer], times: Times | None = None) -> None:
        self._connections = {one.name: Connection(one, times or Times(), self._forget_offers) for one in servers}
        self._offered: tuple[Tool, ...] | None = None
        self._keeping: set[asyncio.Task[None]] = set()
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL)

    async def keep_connected(self) -> None:
        """For ever, or until `aclose`. Servers that are started here end with it."""
        self._keeping = {asyncio.create_task(one.keep()) for one in self._connections.values()}
        try:
            await asyncio.gather(*self._keeping, return_exceptions=True)
        finally:
            await self._leave()

    def offered(self) -> Sequence[Tool]:
        if self._offered is None:
            offers = (offer for one in self._connections.values() for offer in one.offers.values())
            self._offered = tuple(offer.tool for offer in offers)
        return self._offered

    def may_have(self, name: str) -> bool:
        connection = self._connections.get(server_in(name))
        return connection is not None and not connection.offers

    async def settled(self) -> None:
        await asyncio.gather(*(one.tried() for one in self._connections.values()))

    def up(self) -> Mapping[str, bool]:
        """Which servers are there now, by name."""
        return {name: one.session is not None for name, one in self._connections.items()}

    async def found(self, server: str) -> Found:
        """What came of the first attempt. Raises `TimeoutError` where it is not over in some seconds."""
        connection = self._connections[server]
        await connection.tried()
        if connection.session is None and connection.problem is None:
            raise TimeoutError
        return Found(len(connection.offers), connection.problem, connection.last_words)

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        context: ToolContext,
    ) -> AsyncGenerator[ToolProgress | ToolOutput]:
        connection = self._connections.get(server_in(name))
        if connection is None:
            raise ToolError("There is no such tool.")
        pieces = call(connection, name, arguments, context.idempotency_key)
        try:
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()

    async def aclose(self) -> None:
        await self._leave()

    async def _leave(self) -> None:
        for task in self._keeping:
            task.cancel()
        if self._keeping:
            await asyncio.wait(self._keeping)

    def _forget_offers(self) -> None:
        self._offered = None
