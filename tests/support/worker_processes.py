"""The processes of one server that has several, as the kernel shows them (on Linux)."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.server import START_S, Server


async def have_served(server: Server, count: int) -> None:
    """Waits until so many workers have begun to serve, over all its starts."""

    async def so_many() -> bool:
        return server.logged("serving") >= count

    await eventually(so_many, within=START_S)


def pids(server: Server) -> set[int]:
    """Of the workers, but not of multiprocessing's own child."""
    assert server.process is not None
    parent = server.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return {int(pid) for pid in children if b"spawn_main" in _command_line(pid)}


def _command_line(pid: str) -> bytes:
    """Empty for one that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """It hangs for as long as the block lasts, which may end it."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
