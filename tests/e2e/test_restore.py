"""Backups of a service that is in use, and restores from them, by the steps of docs/operation.md."""

import asyncio
import re
import shutil
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import NewServer
from tests.support.postgres import Databases, PostgresServer
from tests.support.server import BINARY, Server, serving
from tests.support.sizes import size
from tests.support.sockets import Caller, calling
from tests.support.upstream import Upstream, hang, text

PAGE = (Path(__file__).parents[2] / "docs" / "operation.md").read_text(encoding="utf-8")
MODEL = "mock-1-0"


def steps(beginning: str) -> str:
    """The commands of the page's block that begins so. Serving is left to the test."""
    [block] = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if block.startswith(beginning)]
    return block.replace("chatorch serve\n", "")


async def carry_out(server: Server, commands: str, programs: Path = Path("/")) -> str:
    """As an operator does, in the server's folder."""
    path = f"{Path(BINARY).parent}:{programs}:{server.environment['PATH']}"
    done = await asyncio.to_thread(
        subprocess.run,
        ["sh", "-eu", "-c", commands],
        env=server.environment | {"PATH": path},
        cwd=server.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def write_on(alice: Caller, stopped: asyncio.Event) -> None:
    number = 0
    while not stopped.is_set():
        await (await alice.say(f"more {number}", model=MODEL, stream=False)).ended()
        number += 1


def questions(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        [count] = connection.execute("SELECT count(*) FROM messages WHERE role = 'user'").fetchone()
    return count


async def acknowledged(alice: Caller, count: int) -> dict[str, str]:
    """Says that many things, each in a thread of its own; what was said by thread."""
    said = {}
    for number in range(count):
        answer = await (await alice.say(f"message {number}", model=MODEL, stream=False)).ended()
        assert answer.status == 200
        said[answer.json["thread_id"]] = f"message {number}"
    return said


async def are_all_there(alice: Caller, said: dict[str, str]) -> None:
    for thread, content in said.items():
        found = [message["content"] for message in await alice.messages(thread) if message["role"] == "user"]
        assert found == [content]


async def test_a_backup_under_load_has_all_that_was_acknowledged_and_is_restored(
    new_server: NewServer, upstream: Upstream
):
    server = await new_server(continue_within_s=0)
    (server.folder / "backups").mkdir()
    hanging = upstream.model(text("half "), hang())
    async with serving(server):
        async with calling(server) as alice:
            said = await acknowledged(alice, 10)
            shutil.copy(server.folder / "chat.db", server.folder / "plain.db")
            assert questions(server.folder / "plain.db") == 0  # why there is a command
            stopped = asyncio.Event()
            writers = [asyncio.create_task(write_on(alice, stopped)) for _ in range(size(4, 20))]
            said |= await acknowledged(alice, size(10, 300))
            live = await alice.say("Begin", model=hanging)
            await live.until(lambda exchange: exchange.text)
            told = await carry_out(server, steps("chatorch backup"))
            stopped.set()
            await asyncio.gather(*writers)
            run = live.run_id
        assert "checked." in told
        assert questions(server.folder / "backups" / "chat.db") > len(said)
        await server.kill()
        (server.folder / "chat.db").write_bytes(b"destroyed")

        await carry_out(server, steps("rm -f"))
        await server.start()
        async with calling(server) as alice:
            await are_all_there(alice, said)
            assert (await alice.get(f"/api/runs/{run}")).json["status"] == "interrupted"
            assert (await (await alice.say("and on", model=MODEL, stream=False)).ended()).status == 200
    assert server.errors == []


@pytest.mark.long
async def test_postgresql_is_dumped_while_it_is_used_and_restored(
    on_postgres: Server,
    server_in,
    postgres: Databases,
    postgres_server: PostgresServer,
    upstream: Upstream,
    tmp_path: Path,
):
    (on_postgres.folder / "backups").mkdir()
    async with calling(on_postgres) as alice:
        live = await alice.say("Begin", model=upstream.model(text("half "), hang()))
        await live.until(lambda exchange: exchange.text)
        said = await acknowledged(alice, 10)
        await carry_out(on_postgres, steps("umask"), postgres_server.programs)
        assert stat.S_IMODE((on_postgres.folder / "backups" / "chat.dump").stat().st_mode) == 0o600
        await (await alice.request("POST", f"/api/runs/{live.run_id}/cancel")).ended()

    restored = server_in(tmp_path, await postgres.fresh(migrated=False), continue_within_s=0)
    restored.settings["SECRET_KEY"] = on_postgres.settings["SECRET_KEY"]
    restored.tokens = on_postgres.tokens
    (tmp_path / "backups").symlink_to(on_postgres.folder / "backups")
    restoring = steps("pg_restore")
    for more in ("", "--clean --if-exists "):
        commands = restoring.replace("pg_restore ", f"pg_restore {more}")
        await carry_out(restored, commands, postgres_server.programs)
        async with serving(restored), calling(restored) as alice:
            await are_all_there(alice, said)
            assert (await alice.get(f"/api/runs/{live.run_id}")).json["status"] == "interrupted"
