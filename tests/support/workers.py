"""Several processes of the service that share a store and a Redis, as under Kubernetes: each on a port of its own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.accounts import sign_up
from tests.support.server import Server, serving
from tests.support.sockets import Caller, calling
from tests.support.ws import Door, doors_of


@dataclass(frozen=True)
class Worker:
    """One process, with Alice calling it."""

    server: Server
    alice: Caller
    door: Door

    @property
    def token(self) -> str:
        return self.server.tokens["alice"]


@asynccontextmanager
async def workers(servers: list[Server]) -> AsyncIterator[list[Worker]]:
    """All of them, ready, with Alice signed up; each may be killed and started again in the block."""
    await sign_up(servers[0], "alice")
    async with AsyncExitStack() as stack:
        for server in servers:
            server.tokens = servers[0].tokens
            server.launch()
            stack.push_async_callback(server.stop)
        started = []
        for server in servers:
            await stack.enter_async_context(serving(server))
            alice = await stack.enter_async_context(calling(server))
            started.append(Worker(server, alice, await stack.enter_async_context(doors_of(server.port))))
        yield started


def alike(first: Server, folder: Path) -> Server:
    """Another process of the same service, with a log of its own."""
    folder.mkdir()
    other = Server(folder)
    other.settings = dict(first.settings)
    return other
