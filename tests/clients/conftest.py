"""Other people's clients, as they publish them, against real servers. `make clients` installs them and runs these."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.clients import ag_ui_page
from tests.clients.ai_sdk_page import CLIENTS, Browser, Client
from tests.clients.openai_chat import CHAT_CLIENTS, RESPONSES_CLIENTS, Clients
from tests.e2e.conftest import (  # noqa: F401
    ServerIn,
    new_of_two,
    new_server,
    of_two,
    server,
    server_in,
    two_workers,
    upstream,
)
from tests.support.accounts import sign_up
from tests.support.client_process import ClientProcess
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server
from tests.support.upstream import Upstream

NewClient = Callable[[str], ClientProcess]


@pytest.fixture(scope="module")
def new_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewClient]:
    """Starts a file of ``js/`` or ``py/``: ``new_client("fetch.mjs")``. All end with the module.

    A module best starts each once, in a fixture of its scope: what a client imports is most of what it costs.
    """
    processes: list[ClientProcess] = []

    def new(file: str) -> ClientProcess:
        log: Path = tmp_path_factory.mktemp("client") / "log"
        processes.append(ClientProcess(file, log))
        return processes[-1]

    yield new
    for process in processes:
        process.stop()


@pytest.fixture
async def line(server: Server) -> AsyncIterator[LossyLine]:  # noqa: F811
    """Between a client and the server that all tests share: `line.cut(...)`, `line.calls`."""
    async with lossy_line(server.port) as line:
        yield line


def by_name(new_client: NewClient, files: Mapping[str, str]) -> Clients:
    """Each starts when it is asked for first."""
    started: dict[str, ClientProcess] = {}

    def client(name: str) -> ClientProcess:
        file = files[name]
        if file not in started:
            started[file] = new_client(file)
        return started[file]

    return client


@pytest.fixture(scope="module")
def clients(new_client: NewClient) -> Clients:
    return by_name(new_client, {name: client.file for name, client in (CHAT_CLIENTS | RESPONSES_CLIENTS).items()})


@pytest.fixture(scope="module")
def pages(new_client: NewClient) -> ClientProcess:
    return new_client("ai_sdk.mjs")


@pytest.fixture(params=CLIENTS, ids=str)
def client(request: pytest.FixtureRequest) -> Client:
    found: Client = request.param
    return found


@pytest.fixture
def browser(pages: ClientProcess, client: Client, server: Server, upstream: Upstream) -> Browser:  # noqa: F811
    return Browser(pages, client, server.url, server.tokens["alice"], upstream)


@pytest.fixture(scope="module")
def agents(new_client: NewClient) -> ClientProcess:
    return new_client("ag_ui.mjs")


@pytest.fixture
def tab() -> str:
    """A page of its own, on a thread of its own."""
    return f"tab-{next(ag_ui_page.numbers)}"


@pytest.fixture(scope="module")
def few(server_in: ServerIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:  # noqa: F811
    """A user may have one live run."""
    few = server_in(tmp_path_factory.mktemp("few"))
    few.settings["CHATORCH_MAX_LIVE_RUNS_PER_USER"] = "1"
    asyncio.run(sign_up(few, "alice"))
    asyncio.run(few.start())
    yield few
    asyncio.run(few.stop())
