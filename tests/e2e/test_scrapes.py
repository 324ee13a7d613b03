"""``/metrics``, asked for by whoever likes, as often as they like."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.e2e.conftest import Record
from tests.support.server import Server
from tests.support.sizes import size
from tests.support.sockets import Caller, calling

A_SECOND = 270
ASKED = size(60, 600)
AT_MOST_S = 0.015


@asynccontextmanager
async def scraped(server: Server) -> AsyncIterator[list[bytes]]:
    """Asked for 270 times a second, as text and as JSON, on nine connections; the status lines of the answers."""
    seen: list[bytes] = []

    async def scrape(accept: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        due = time.monotonic()
        try:
            while True:
                writer.write(b"GET /metrics HTTP/1.1\r\nhost: chat\r\naccept: %b\r\n\r\n" % accept)
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(int(length.split(b":")[1]))
                seen.append(head.split(b"\r\n")[0])
                due = max(due + 9 / A_SECOND, time.monotonic() - 1)
                await asyncio.sleep(due - time.monotonic())
        finally:
            writer.transport.abort()

    scraping = [asyncio.create_task(scrape(b"application/json" if n % 3 == 0 else b"*/*")) for n in range(9)]
    try:
        yield seen
    finally:
        for task in scraping:
            task.cancel()
        await asyncio.gather(*scraping, return_exceptions=True)


async def p50(caller: Caller) -> float:
    times = []
    for _ in range(ASKED):
        asked_at = time.monotonic()
        answer = await (await caller.request("GET", "/api/threads")).ended()
        times.append(time.monotonic() - asked_at)
        assert answer.status == 200
    return statistics.median(times)


@pytest.mark.soak
async def test_who_scrapes_without_end_slows_nobody(server: Server, record_property: Record) -> None:
    async with calling(server, "alice") as caller:
        alone = await p50(caller)
        async with scraped(server) as seen:
            beside = await p50(caller)
    record_property("p50_ms", (round(alone * 1000, 1), round(beside * 1000, 1)))
    assert set(seen) == {b"HTTP/1.1 200 OK"}
    assert beside <= max(3 * alone, AT_MOST_S), (alone, beside, len(seen))
