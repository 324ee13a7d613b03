"""What models may call: functions of installed packages, and MCP servers, and whether rules mean any of it. No line for
what there is none of.
"""

import asyncio
from functools import partial

from chatorch.entrypoints.container import Container
from chatorch.entrypoints.doctor.finding import Amiss, Finding, looked

TOLD = 5
"""Of what cannot be offered so many are named."""


async def look_at_tools(container: Container) -> list[Finding]:
    functions, servers = await asyncio.gather(_functions(container), _servers(container))
    return functions + servers + _rules(container)


def _rules(container: Container) -> list[Finding]:
    """Once all others have been looked at. A tool that is misspelt in a rule may be called without being asked for."""
    if not (unused := container.toolbox().unused_rules()):
        return []
    settings = "CHATORCH_TOOLS or CHATORCH_TOOLS_NEED_APPROVAL"
    return [Finding("rules of tools", False, f"no tool that is there is meant in {settings} by {', '.join(unused)}")]


async def _functions(container: Container) -> list[Finding]:
    tools = await asyncio.to_thread(container.python_tools)  # loads what others wrote, which may take its time
    if tools is None:
        return []
    offered, refused = tools.offered(), tools.refused
    await tools.aclose()
    if not refused:
        return [Finding("installed tools", True, f"they can be offered; tools: {len(offered)}")]
    named = [f"{one.entry_point} of {one.package or 'a package'}: {one.reason}" for one in refused[:TOLD]]
    more = [f"and {len(refused) - TOLD} more"] if len(refused) > TOLD else []
    return [Finding("installed tools", False, f"not offered: {'; '.join(named + more)}")]


async def _servers(container: Container) -> list[Finding]:
    tools = container.mcp_tools()
    if tools is None:
        return []
    keeping = asyncio.create_task(tools.keep_connected())

    async def found(name: str) -> str:
        there = await tools.found(name)
        if there.problem is not None:
            said = "".join(filter(str.isprintable, there.last_words))
            raise Amiss(f"{there.problem}; it said: {said}" if said else there.problem)
        return f"it answers; tools: {there.tools}"

    names = list(tools.up())
    try:
        return await asyncio.gather(*(looked(f"MCP server {name}", partial(found, name)) for name in names))
    finally:
        await tools.aclose()
        await keeping
