"""A package of tools for servers that are killed: they write down that they were called, and wait to be let go.

Standard library and pydantic only, as any such package; `installed` makes a folder for ``PYTHONPATH`` of it.
"""

import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from chatorch.tools import ToolContext, tool

PLACE = "TOOLS_PLACE"
WAITING = ("during", "unsaved")
"""Where a tool does not return before it is let go."""


def _place() -> Path:
    return Path(os.environ[PLACE])


def _dies(where: str) -> str:
    """Between the store's word that a call is kept, and the function: its arguments are looked at there."""
    if where == "uncalled" and not (_place() / "again").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return where


Where = Annotated[str, AfterValidator(_dies)]


async def _do(name: str, where: str, context: ToolContext) -> str:
    place = _place()
    with (place / "calls").open("a") as calls:
        calls.write(f"{where} {name} {context.idempotency_key}\n")
    while where in WAITING and not ((place / "again").exists() or (place / f"go {where}").exists()):
        await asyncio.sleep(0.01)
    if where == "anywhere":
        await asyncio.sleep(random.random() / 20)
    return f"did {where}"


@tool
async def act(where: Where, context: ToolContext) -> str:
    """Does something that may be done once."""
    return await _do("act", where, context)


@tool(idempotent=True)
async def act_again(where: Where, context: ToolContext) -> str:
    """Does something that may be done as often as one likes."""
    return await _do("act_again", where, context)


def installed(folder: Path, place: Path) -> dict[str, str]:
    """The settings of a server that has these tools."""
    info = folder / "deadly_tools-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: deadly-tools\nVersion: 0\n")
    lines = [f"{name} = {__name__}:{name}" for name in ("act", "act_again")]
    (info / "entry_points.txt").write_text("\n".join(("[chatorch.tools]", *lines, "")))
    root = Path(__file__).parents[2]
    return {"PYTHONPATH": f"{root}{os.pathsep}{folder}", PLACE: str(place), "CHATORCH_TOOLS": "*"}


def called(place: Path) -> list[tuple[str, str, str]]:
    """Where, which, and under which idempotency key; in the order of time."""
    try:
        lines = (place / "calls").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [(where, name, key) for where, name, key in map(str.split, lines)]
