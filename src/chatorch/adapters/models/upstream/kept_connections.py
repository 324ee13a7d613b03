"""Kept connections, some of which the server may have closed without our knowing yet."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

LOST = (aiohttp.ClientOSError, aiohttp.ClientConnectionResetError, aiohttp.ServerDisconnectedError)
"""What aiohttp raises for a connection that is reset or closed under a request."""


@dataclass(slots=True)
class Use:
    """The connection of one request. `anew`: it must be a new one. `kept` tells whether it had been used before."""

    anew: bool = False
    kept: bool = False

    def stale(self, error: Exception) -> bool:
        """Whether the request failed since the connection was over before it: nobody has begun to answer.

        A server may close a connection that is kept at any time (RFC 9112, 9.5), and the next request crosses that
        on the way. A reset does not tell whether the beginning of a head came before it, and counts as none.
        """
        # aiohttp hands over the head as far as it came; words of its own where nothing came.
        began = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)
        return self.kept and isinstance(error, LOST) and not began


current_use: ContextVar[Use] = ContextVar("current_use")


class Connector(aiohttp.TCPConnector):
    """Any number of connections. Takes its orders from `current_use`, and tells there what it gave.

    One that must be new costs the idle ones to the same server, since what ended one of them mostly ended them all
    (a restart, a balancer that forgot them). Those in use are left alone.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(limit=0, **arguments)
        self._used: WeakSet[ResponseHandler] = WeakSet()

    async def connect(self, *arguments: Any, **named: Any) -> "Connection":
        use = current_use.get()
        connection = await super().connect(*arguments, **named)
        while connection.protocol in self._used and use.anew:
            connection.close()
            connection = await super().connect(*arguments, **named)
        protocol = connection.protocol
        use.kept = protocol in self._used
        if protocol is not None and not use.kept:
            self._used.add(protocol)
        return connection
