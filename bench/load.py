"""Load on one endpoint, and what it cost the server: CPU (user + sys) of its process tree, and its memory."""

import asyncio
import contextlib
import itertools
import re
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A server to measure. `marker` is in every piece of text it passes on; `tokens` are of a user each."""

    name: str
    port: int
    pid: int
    path: str
    headers: tuple[str, ...] = ()
    marker: bytes = b"tok"
    tokens: tuple[str, ...] = ()


@dataclass
class Cost:
    requests: int = 0
    failures: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_kb: int = 0
    first_piece_s: list[float] = field(default_factory=list)

    def us_a_token(self, tokens: int) -> float:
        return self.cpu_s / (self.requests * tokens) * 1e6

    def ms_a_request(self) -> float:
        return self.cpu_s / self.requests * 1e3

    def first_piece_ms(self, share: float) -> float:
        ordered = sorted(self.first_piece_s)
        return ordered[int((len(ordered) - 1) * share)] * 1e3 if ordered else float("nan")


def process_tree(pid: int) -> list[int]:
    pids = [pid]
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in listing.read_text().split():
                pids += process_tree(int(child))
    return pids


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of the tree, from the scheduler: exact, where `stat` counts ticks."""
    nanoseconds = 0
    for each in process_tree(pid):
        for thread in Path(f"/proc/{each}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                nanoseconds += int(thread.read_text().split()[0])
    return nanoseconds / 1e9


def resident_kb(pid: int) -> int:
    total = 0
    for each in process_tree(pid):
        with contextlib.suppress(OSError):
            found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{each}/status").read_text())
            total += int(found[1]) if found else 0
    return total


ANEW = "anew-000000000000"
"""In a body: another word, as long, with each request, for clients that make the ids."""
_news = itertools.count(1)


async def measure(target: Target, body: bytes, *, requests: int, clients: int) -> Cost:
    """`clients` at a time send `requests` in all, each over its own keep-alive connection."""
    cost = Cost()
    turns = iter(range(requests))
    lines = [f"POST {target.path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json"]
    lines += [f"content-length: {len(body)}", *target.headers]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    watching = asyncio.ensure_future(_watch_memory(target.pid, cost))
    cpu, wall = cpu_seconds(target.pid), time.perf_counter()
    await asyncio.gather(*(_client(target, request, turns, cost) for _ in range(clients)))
    cost.cpu_s, cost.wall_s = cpu_seconds(target.pid) - cpu, time.perf_counter() - wall
    watching.cancel()
    return cost


async def _watch_memory(pid: int, cost: Cost) -> None:
    while True:
        cost.peak_kb = max(cost.peak_kb, resident_kb(pid))
        await asyncio.sleep(0.5)


async def _client(target: Target, request: bytes, turns, cost: Cost) -> None:
    reader = writer = None
    for _ in turns:
        cost.requests += 1
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=2**22)
            anew = request.replace(ANEW.encode(), b"anew-%012d" % next(_news)) if ANEW.encode() in request else request
            if not await _exchange(target, anew, reader, writer, cost):
                cost.failures += 1
        except (OSError, asyncio.IncompleteReadError, ValueError):
            cost.failures += 1
            writer = None
    if writer is not None:
        writer.close()


async def _exchange(target: Target, request: bytes, reader, writer, cost: Cost) -> bool:
    sent = time.perf_counter()
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    seen = False
    async for part in body_parts(head, reader):
        if not seen and target.marker in part:
            seen = True
            cost.first_piece_s.append(time.perf_counter() - sent)
    return head.split(b" ", 2)[1] == b"200"


async def body_parts(head: bytes, reader):
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            yield (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    elif found := re.search(rb"content-length: (\d+)", head):
        yield await reader.readexactly(int(found[1]))


def median(values: list[float]) -> float:
    return statistics.median(values)
