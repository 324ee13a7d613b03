"""What the README shows first: ask, `kill -9`, start again, and the answer arrives. By its own lines, and curl."""

import asyncio
import re
from pathlib import Path

from tests.support.accounts import sign_up
from tests.support.event_reader import EventReader
from tests.support.server import Server, serving
from tests.support.sockets import calling

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


async def test_a_client_that_comes_back_by_itself_gets_the_answer_of_a_server_that_was_killed(tmp_path: Path):
    [lines] = [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "kill -9" in block]
    async with serving(Server(tmp_path)) as server:
        await sign_up(server, "alice")
        shell = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            lines.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}") + "wait\n",
            cwd=tmp_path,
            env={**server.environment, "TOKEN": server.tokens["alice"]},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await server.exited()
        await server.start()
        shown, _ = await asyncio.wait_for(shell.communicate(), 60)
        answer = EventReader()
        answer.feed(shown[shown.rindex(b"id: ", 0, shown.rindex(b"event: run.started")) :])
        async with calling(server) as alice:
            run = await alice.run(answer.events[0]["run_id"])
        assert server.logged("run_taken_over") == 1
    assert shown.count(b"event: run.started") == 2
    assert (answer.text, [end["type"] for end in answer.terminals]) == (run["text"], ["run.completed"])
    assert run["status"] == "completed"
