"""One file, many writers, one process."""

import asyncio
import subprocess
import time

from tests.support.server import BINARY, Server
from tests.support.sizes import size
from tests.support.sockets import Caller, calling

WRITERS = 50


async def test_fifty_writers_and_the_command_line_queue_and_nobody_is_turned_away(server: Server):
    rounds = size(4, 40)

    async def write(alice: Caller, writer: int) -> list[int]:
        thread, statuses = None, []
        for number in range(rounds):
            said = await alice.say(f"{writer}.{number}", model="mock-1-0", stream=False, thread_id=thread)
            await said.ended(60)
            statuses.append(said.status)
            thread = said.json["thread_id"]
        assert [m["content"] for m in await alice.messages(thread) if m["role"] == "user"] == [
            f"{writer}.{number}" for number in range(rounds)
        ][:50]
        return statuses

    async with calling(server) as alice:
        adding = asyncio.to_thread(
            server.command, "users", "add", "writer", "--password-stdin", stdin="a good password"
        )
        added, *statuses = await asyncio.gather(adding, *(write(alice, writer) for writer in range(WRITERS)))
    assert added.returncode == 0, added.stderr
    assert {status for some in statuses for status in some} == {200}
    assert "locked" not in server.log


async def test_a_second_process_on_the_file_is_refused_with_one_line_that_says_why(server: Server):
    began = time.monotonic()
    refused = await asyncio.to_thread(
        subprocess.run,
        [BINARY, "serve", "--port", "0"],
        env=server.environment,
        cwd=server.folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert refused.returncode not in {0, None}
    assert time.monotonic() - began < 10
    [why] = [line for line in refused.stderr.splitlines() if str(server.folder / "chat.db") in line]
    assert str(server.process.pid) in why
    assert "Another chatorch process" in why
    assert "set REDIS_URL" in why
