"""What tests of MCP servers ask, and how."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from chatorch.adapters.tools.mcp.connection import Times
from chatorch.adapters.tools.mcp.servers import McpServer
from chatorch.adapters.tools.mcp.tools import McpTools
from chatorch.domain.model.conversation import RunId, ThreadId
from chatorch.domain.model.identity import Principal, UserId
from chatorch.ports.tools import ToolContext, ToolOutput, ToolProgress, Tools
from tests.support.eventually import eventually
from tests.support.ports import free_port

ROOT = str(Path(__file__).parents[2])
QUICK = Times(connect=10, first_pause=0.05, most_pause=0.2, refresh=60, between_lists=0.05, between_attempts=0)
REAL = (sys.executable, "-m", "tests.support.mcp_server", "stdio", "greeting")
TOY = (sys.executable, "-S", "-E", f"{ROOT}/tests/support/mcp_toy.py")
CONTEXT = ToolContext(Principal(UserId("usr_alice"), "alice", frozenset()), ThreadId("thr_1"), RunId("run_1"), "key")


def stdio_server(*command: str, **given: Any) -> McpServer:
    return McpServer("s", command=command or REAL, env={"PYTHONPATH": ROOT}, **given)


class HttpServer:
    """A real one in a process of its own, which keeps its port."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, path: str = "/mcp") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        command = (sys.executable, "-m", "tests.support.mcp_server", "http", str(self.port))
        self._process = subprocess.Popen(command, cwd=ROOT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@asynccontextmanager
async def kept(*servers: McpServer, times: Times = QUICK, is_listed: bool = True) -> AsyncIterator[McpTools]:
    """Tools of these, with a loop that keeps them; where they are to be listed, each is connected."""
    tools = McpTools(servers, times)
    keeping = asyncio.create_task(tools.keep_connected())
    try:
        if is_listed:
            await eventually(lambda: offers_of_all(tools, servers), within=20)
        yield tools
    finally:
        await tools.aclose()
        await keeping


async def offers_of_all(tools: Tools, servers: tuple[McpServer, ...]) -> bool:
    offered = [tool.name for tool in tools.offered()]
    return all(any(name.startswith(f"{server.name}__") for name in offered) for server in servers)


async def pieces(tools: Tools, name: str, **arguments: Any) -> list[ToolProgress | ToolOutput]:
    return [piece async for piece in tools.call(name, arguments, CONTEXT)]


async def said(tools: Tools, name: str, **arguments: Any) -> str:
    output = (await pieces(tools, name, **arguments))[-1]
    assert isinstance(output, ToolOutput)
    return output.content


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds, f"it took {took:.3f} s"


def peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
