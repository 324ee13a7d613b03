"""Guests who ask as fast as they are answered: what that leaves in the database, and for how long."""

import asyncio
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import NewServer, Record
from tests.support.eventually import eventually
from tests.support.server import serving
from tests.support.sizes import size

CONNECTIONS = 8
FOR_S = size(1.5, 60.0)
MIB = 2**20
WORST = {
    "user_id": "\U0001f480" * 256,
    "messages": [
        {"role": role, "content": "\U0001f480" * 2000, "metadata": {"x": "y" * 1000}} for role in ("system", "user")
    ],
}


def asked(folder: Path, question: str) -> int:
    with closing(sqlite3.connect(folder / "chat.db")) as connection:
        return int(connection.execute(question).fetchone()[0])


def bytes_of(folder: Path) -> int:
    """Of the database. The write-ahead log beside it is at most 4 MiB, whoever writes, and is used again."""
    return asked(folder, "PRAGMA page_count") * asked(folder, "PRAGMA page_size")


async def flood(url: str, seconds: float) -> Counter[int]:
    """The statuses of all answers."""
    seen: Counter[int] = Counter()
    until = time.monotonic() + seconds

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            while time.monotonic() < until:
                seen[(await client.post("/api/chat", json=WORST)).status_code] += 1

    await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    return seen


@pytest.mark.long
@pytest.mark.soak
async def test_at_full_speed_from_one_address_the_database_grows_by_a_mebibyte_a_minute(
    new_server: NewServer, record_property: Record
) -> None:
    async with serving(await new_server(anonymous_chat=True, guest_retention_hours=0.001)) as server:
        before = bytes_of(server.folder)
        seen = await flood(server.url, FOR_S)
        grown = bytes_of(server.folder) - before
        record_property("grown_kib", grown // 1024)
        assert seen.keys() == {200, 429}
        assert 5 <= seen[200] <= 10 + FOR_S / 6 + 1
        assert grown <= MIB, (grown, seen)

        async def all_gone() -> bool:
            return asked(server.folder, "SELECT count(*) FROM threads") == 0

        await eventually(all_gone, within=10, every=0.1)
