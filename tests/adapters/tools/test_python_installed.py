"""Tools of installed packages, as a process that is started finds them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SECRET = "hunter2"
PACKAGES = {
    "good": (
        """
        from collections.abc import AsyncGenerator
        from chatorch.tools import ToolContext, ToolOutput, tool

        def add(left: int, right: int) -> int:
            "Adds."
            return left + right

        @tool(needs_approval=True, scope="admin")
        async def wipe(context: ToolContext) -> str:
            return context.idempotency_key

        def broken(*args: int) -> None: ...

        ALL = [wipe, broken, add]
        """,
        {"add": "good:add", "more": "good:ALL"},
    ),
    "first": ("def same() -> None: ...\ndef mine() -> None: ...", {"first": "first:same", "mine": "first:mine"}),
    "second": ("def same() -> None: ...", {"second": "second:same"}),
    "absent": ("", {"absent": "absent:nothing", "nowhere": "no_such_module:tool", "odd": "not a reference"}),
    "failing": (f"raise RuntimeError({SECRET!r})", {"failing": "failing:tool"}),
    "leaving": ("raise SystemExit(3)", {"leaving": "leaving:tool"}),
    "untold": ("def untold(city: 'Nowhere') -> None: ...", {"untold": "untold:untold", "module": "untold"}),
    "raising": (
        f"""
        class Odd:
            def __iter__(self):
                raise RuntimeError({SECRET!r})
        odd = Odd()
        number = 3
        text = "add"
        """,
        {"raising": "raising:odd", "number": "raising:number", "text": "raising:text"},
    ),
}
FIND = """
import asyncio, json, sys
from chatorch.adapters.tools.python import PythonTools
from chatorch.entrypoints.process.logs import configure_logs
from tests.support.tool_calls import output
configure_logs(log_format="json")
async def main():
    tools = PythonTools.installed(threads=2)
    offered = [(each.name, each.description, each.needs_approval, each.scope) for each in tools.offered()]
    said = [(await output(tools, "add", left=1, right="2")).content, (await output(tools, "wipe")).content]
    await tools.aclose()
    print(json.dumps([offered, said]))
asyncio.run(main())
"""
HANG = """
import asyncio, itertools, sys, threading, time
from chatorch.adapters.tools.python import PythonTools
from tests.support.tool_calls import output
from chatorch.entrypoints.process.logs import configure_logs
configure_logs(log_format="json")
def sleeps(): threading.Event().wait()
def works():
    while True: sum(range(1000))
def talks():
    for number in itertools.count(): print(number, file=sys.stderr)
def yields():
    while True: yield 1
async def forgotten(): await asyncio.Event().wait()
async def stubborn():
    while True:
        try: await asyncio.Event().wait()
        except asyncio.CancelledError: pass
async def main():
    tools = PythonTools([sleeps, works, talks, yields, forgotten, stubborn], threads=4)
    for name in ("sleeps", "works", "talks", "yields", "forgotten", "stubborn"):
        try:
            async with asyncio.timeout(0.05): await output(tools, name)
        except TimeoutError: print(name, flush=True)
    await tools.aclose()
asyncio.run(main())
"""


def install(folder: Path, name: str, source: str, entry_points: dict[str, str]) -> None:
    """As pip leaves a package behind."""
    lines = source.strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
    (folder / f"{name}.py").write_text("\n".join(line[indent:] for line in lines), encoding="utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-tools\nVersion: 1.0\n", encoding="utf-8")
    listed = "\n".join(f"{each} = {value}" for each, value in entry_points.items())
    (info / "entry_points.txt").write_text(f"[chatorch.tools]\n{listed}\n", encoding="utf-8")


def run(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[3]
    setup = f"import sys; sys.path[:0] = {[str(root), *map(str, path)]!r}\n"
    return subprocess.run(
        [sys.executable, "-c", setup + code], capture_output=True, text=True, timeout=30, check=False, cwd=root
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[dict[str, Any]], str]:
    """What is offered and said, and what is logged."""
    folder = tmp_path_factory.mktemp("installed")
    for name, (source, entry_points) in PACKAGES.items():
        install(folder, name, source, entry_points)
    done = run(FIND, folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), [json.loads(line) for line in done.stderr.splitlines()], done.stderr


def test_functions_and_lists_of_them_are_offered_and_can_be_called(found: Any):
    (offered, said), _, _ = found
    assert offered == [["add", "Adds.", False, None], ["mine", "", False, None], ["wipe", "", True, "admin"]]
    assert said == ["3", "run_1:0"]


def test_what_cannot_be_offered_is_a_line_each_and_keeps_nothing_else_away(found: Any):
    _, lines, text = found
    assert {line["event"] for line in lines} == {"tool_not_offered"}
    reasons = [(line["entry_point"], line["package"], line["reason"]) for line in lines]
    assert sorted(reasons) == [
        ("absent", "absent-tools", "it cannot be loaded (AttributeError: nothing)"),
        ("failing", "failing-tools", "it cannot be loaded (RuntimeError)"),
        ("first", "first-tools", "same: 2 tools have this name"),
        ("leaving", "leaving-tools", "it cannot be loaded (SystemExit)"),
        ("module", "untold-tools", "a module is no function"),
        ("more", "good-tools", "broken: it takes *args: each parameter must have a name"),
        ("nowhere", "absent-tools", "it cannot be loaded (ModuleNotFoundError: no_such_module)"),
        ("number", "raising-tools", "a int is no function"),
        ("odd", "absent-tools", "it cannot be loaded (AttributeError: group)"),
        ("raising", "raising-tools", "it cannot be loaded (RuntimeError)"),
        ("second", "second-tools", "same: 2 tools have this name"),
        ("text", "raising-tools", "a str is no function"),
        ("untold", "untold-tools", "untold: its annotations cannot be read: Nowhere is not known in its module"),
    ]
    assert SECRET not in text, "an error's message is not told"
    [odd] = [line for line in lines if line["entry_point"] == "odd"]
    assert odd["value"] == "not a reference"
    [failing] = [line for line in lines if line["entry_point"] == "failing"]
    assert failing["error"][0]["type"] == "RuntimeError"
    assert any("failing.py" in frame for frame in failing["error"][0]["frames"])


def test_a_process_ends_though_all_its_tools_hang():
    done = run(HANG)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.split() == ["sleeps", "works", "talks", "yields", "forgotten", "stubborn"]
    assert '"tools":["stubborn"],"event":"tools_would_not_end"' in done.stderr
    assert "Fatal" not in done.stderr
