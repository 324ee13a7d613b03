"""Servers that are started here, and do what they should not."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chatorch.adapters.tools.mcp.child import INHERITED, environment
from chatorch.adapters.tools.mcp.servers import McpServer
from chatorch.adapters.tools.mcp.tools import McpTools
from chatorch.ports.tools import ToolArgumentsInvalid, ToolError
from tests.support.eventually import eventually
from tests.support.mcp_tools import QUICK, ROOT, TOY, forget_peak, kept, peak_mib, said, stdio_server, within
from tests.support.sizes import size

TIMEOUT_S = 0.4


async def test_a_large_line_fails_its_call_at_once_and_is_not_held():
    async with kept(stdio_server(*TOY, timeout_s=10)) as tools:
        for mib, is_id_last in ((10, False), (10, True), (size(20, 100), True)):
            forget_peak()
            began_mib = peak_mib()
            async with within(2):
                with pytest.raises(ToolError, match="said more than 1048576 bytes"):
                    await said(tools, "s__toy", do="flood", size=mib << 20, last=is_id_last)
            assert peak_mib() - began_mib < 8
            assert await said(tools, "s__toy", do="say", text="x" * 1_000_000) == "x" * 1_000_000


async def test_a_line_that_drips_and_a_line_that_is_none_fail_in_time():
    async with kept(stdio_server(*TOY, timeout_s=TIMEOUT_S)) as tools:
        for what in ("surrogate", "drip"):
            async with within(TIMEOUT_S + 0.25):
                with pytest.raises(ToolError, match="did not answer within"):
                    await said(tools, "s__toy", do=what)


async def test_what_a_server_refuses_is_told_in_its_words():
    async with kept(stdio_server(*TOY)) as tools:
        with pytest.raises(ToolArgumentsInvalid, match="no\ufffd x"):
            await said(tools, "s__toy", do="error")


async def test_a_server_that_stands_still_fails_calls_in_time_and_is_started_anew():
    async with kept(stdio_server(*TOY, timeout_s=TIMEOUT_S), times=replace(QUICK, listing=0.2)) as tools:
        pid = await _pid(tools)
        os.kill(pid, signal.SIGSTOP)
        for _ in range(2):
            async with within(TIMEOUT_S + 0.25):
                with pytest.raises(ToolError):
                    await said(tools, "s__toy", do="say", text="x" * 200_000)  # more than the pipe takes

        tools._connections["s"].look_again()
        await eventually(lambda: _other_pid(tools, pid))
        await eventually(lambda: _is_gone(pid))


async def test_a_server_that_will_not_go_is_made_to_and_so_is_what_it_started():
    async with kept(stdio_server(*TOY, "stubborn")) as tools:
        pids = [int(pid) for pid in (await said(tools, "s__toy", do="pids")).split()]
        async with within(4):
            await tools.aclose()
    for pid in pids:
        await eventually(lambda pid=pid: _is_gone(pid))


async def test_a_server_ends_with_us_also_where_we_are_killed():
    program = (
        "import asyncio, sys\n"
        "from tests.support.mcp_tools import *\n"
        "async def main():\n"
        "    async with kept(stdio_server(*TOY)) as tools:\n"
        "        print(await said(tools, 's__toy', do='pids'), flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = int((await asyncio.to_thread(process.stdout.readline)).split()[0])
    process.kill()
    process.wait()
    process.stdout.close()

    await eventually(lambda: _is_gone(pid))


NEVER_ANSWERED = (sys.executable, "-S", "-c")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("no-such-program-here", "canary"), "there is no program no-such-program-here"),
        ((f"{ROOT}/no/such/program",), f"there is no program {ROOT}/no/such/program"),
        ((f"{ROOT}/tests",), f"there is no program {ROOT}/tests"),
        ((f"{ROOT}/pyproject.toml",), f"the program {ROOT}/pyproject.toml may not be executed"),
        ((*NEVER_ANSWERED, "raise SystemExit(3)"), "the program ended with status 3"),
        ((*NEVER_ANSWERED, "import no_such_module_canary"), "the program ended with status 1"),
        ((*NEVER_ANSWERED, "print('hello'); input(); raise SystemExit(0)"), "the program ended with status 0"),
        ((*NEVER_ANSWERED, "import os; os.kill(os.getpid(), 9)"), "the program was ended by SIGKILL"),
        (
            (*NEVER_ANSWERED, "import os, time; os.close(1); time.sleep(9)"),
            "the program closed its standard streams",
        ),
    ],
)
async def test_a_command_that_is_none_offers_nothing_and_is_told_of_once_with_how_it_ended(
    command: tuple[str, ...], reason: str, caplog: pytest.LogCaptureFixture
):
    async with kept(stdio_server(*command, timeout_s=1), is_listed=False) as tools:
        for _ in range(2):
            with pytest.raises(ToolError, match="not there"):
                await said(tools, "s__toy")
        await eventually(lambda: _told(caplog))
        assert tools.offered() == ()
    assert [record.args for record in caplog.records if record.levelno >= logging.WARNING and "away" in record.msg] == [
        {"server": "s", "reason": reason}
    ]


async def test_a_file_that_is_no_program_is_told_of_in_its_log(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o700)
    with caplog.at_level(logging.INFO, logger="chatorch"):
        async with kept(stdio_server(str(script)), is_listed=False):
            await eventually(lambda: _told(caplog))
    assert "mcp_server_says: s: it cannot be executed: No such file or directory" in caplog.messages
    assert "mcp_server_away: s: the program ended with status 126" in caplog.messages


async def test_a_server_that_dies_later_is_told_of_with_how_it_ended(caplog: pytest.LogCaptureFixture):
    async with kept(stdio_server(*TOY)) as tools:
        os.kill(await _pid(tools), signal.SIGTERM)
        await eventually(lambda: _told(caplog))
    assert "mcp_server_away: s: the program was ended by SIGTERM" in caplog.messages


async def _told(caplog: pytest.LogCaptureFixture) -> bool:
    return any(message.startswith("mcp_server_away") for message in caplog.messages)


async def test_what_a_server_says_on_stderr_is_logged_as_far_as_it_is_sensible(caplog: pytest.LogCaptureFixture):
    loud = "import sys; sys.stderr.write(('x' * 3000 + '\\n') * 3000); exec(open(sys.argv[1]).read())"
    with caplog.at_level(logging.INFO, logger="chatorch"):
        async with kept(stdio_server(sys.executable, "-S", "-c", loud, TOY[-1])) as tools:
            assert await said(tools, "s__toy", do="say", text="hello") == "hello"
            lines = [record.args["line"] for record in caplog.records if "line" in (record.args or ())]
    assert 1 <= len(lines) <= 20
    assert {len(line) for line in lines} <= {500}


@pytest.mark.parametrize(("level", "is_told"), [(logging.INFO, False), (logging.DEBUG, True)])
async def test_what_a_server_says_once_it_is_ready_may_be_of_a_call_and_is_for_debugging_only(
    level: int, is_told: bool, caplog: pytest.LogCaptureFixture
):
    starts = "import sys; sys.stderr.write('starting\\n'); sys.stderr.flush(); exec(open(sys.argv[1]).read())"
    with caplog.at_level(level, logger="chatorch"):
        async with kept(stdio_server(sys.executable, "-S", "-c", starts, TOY[-1])) as tools:
            assert await said(tools, "s__toy", do="mutter", text="canary-1") == "muttered"
            with pytest.raises(ToolError, match="went away"):
                await said(tools, "s__toy", do="die", text="canary-2")
            await eventually(lambda: _told(caplog))
    assert "mcp_server_says: s: starting" in caplog.messages
    assert "mcp_server_away: s: the program ended with status 1" in caplog.messages
    for canary in ("canary-1", "canary-2"):
        assert (f"mcp_server_says: s: {canary}" in caplog.messages) == is_told
        assert (canary in caplog.text) == is_told


def test_a_server_gets_little_of_our_environment():
    given = environment({"TOKEN": "x", "PATH": "/bin"})
    assert set(given) <= {*INHERITED, "TOKEN"}
    assert (given["TOKEN"], given["PATH"]) == ("x", "/bin")
    assert "canary" not in repr(McpServer("s", command=("run", "canary"), env={"TOKEN": "canary"}))


async def _pid(tools: McpTools) -> int:
    return int((await said(tools, "s__toy", do="pids")).split()[0])


async def _other_pid(tools: McpTools, pid: int) -> bool:
    with contextlib.suppress(ToolError):
        return await _pid(tools) != pid
    return False


async def _is_gone(pid: int) -> bool:
    return _is_over(pid)


def _is_over(pid: int) -> bool:
    """Or a zombie, of a grandchild that nobody reaps."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def test_a_server_that_one_call_holds_up_is_left_to_end_it_and_others_wait_for_it():
    """As the official package's own is by a function that blocks: no list can be read of it meanwhile."""
    times = replace(QUICK, refresh=0.1, listing=0.3)
    async with kept(stdio_server(timeout_s=10), times=times) as tools:
        calls = (said(tools, "s__block", seconds=1), said(tools, "s__echo", text="hi"))
        assert await asyncio.gather(*calls) == ["late", "hi"]
        assert await said(tools, "s__echo", text="still here") == "still here"
