"""What a process of the service takes before anybody asks it for anything."""

import re
from pathlib import Path

import pytest

from tests.support.server import Server, serving

MB = 1024
WORKER_MB, WITH_ALL_CLIENTS_MB, WITH_CHATKIT_MB = 112, 116, 174
"""With our own doors; with those of other people's clients, which are 2 MB; and with ChatKit's."""
START_CPU_S = 2.5
"""A start takes half as much where nothing else keeps the processor busy."""


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / MB


def cpu_s(pid: int) -> float:
    """User and system time of all its threads so far."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def as_installed(folder: Path, **settings: str) -> Server:
    """From scratch, and with a provider, whose client is a good part of it."""
    server = Server(folder, OPENAI_BASE_URL="http://127.0.0.1:9/v1", **settings)
    server.from_scratch = True
    return server


async def test_a_worker_without_chatkit_takes_no_more_than_it_may(tmp_path: Path):
    async with serving(as_installed(tmp_path, CHATORCH_DOORS="ws,chatkit_hosted")) as server:
        assert resident_mb(server.process.pid) <= WORKER_MB


async def test_the_doors_of_other_peoples_clients_take_little(tmp_path: Path):
    async with serving(as_installed(tmp_path)) as server:
        assert resident_mb(server.process.pid) <= WITH_ALL_CLIENTS_MB


@pytest.mark.long
async def test_a_worker_with_chatkit_takes_no_more_than_it_may(tmp_path: Path):
    async with serving(as_installed(tmp_path, CHATORCH_CHATKIT_SERVER="true")) as server:
        assert resident_mb(server.process.pid) <= WITH_CHATKIT_MB


@pytest.mark.long
async def test_a_start_takes_little_time_of_the_processor(tmp_path: Path):
    server, taken = as_installed(tmp_path), []
    for _ in range(3):  # the first may have to compile
        async with serving(server):
            taken.append(cpu_s(server.process.pid))
    assert min(taken) <= START_CPU_S
