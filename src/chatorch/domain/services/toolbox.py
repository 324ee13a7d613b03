"""Which tools somebody may use, of all that there are."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from chatorch.domain.model.generation import Generation
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.tool_policy import ToolPolicy
from chatorch.domain.model.tools import CarriedOutBy, Tool
from chatorch.ports.tools import Tools


@dataclass(frozen=True, slots=True)
class Offer:
    """What one run's model may call, by name, and whom to ask for those of ours. `absent`: whom to ask for what was
    agreed to and cannot be offered now."""

    tools: Mapping[str, Tool] = field(default_factory=lambda: MappingProxyType({}))
    sources: Mapping[str, Tools] = field(default_factory=lambda: MappingProxyType({}))
    absent: Mapping[str, Tools] = field(default_factory=lambda: MappingProxyType({}))


NOTHING_TO_OFFER = Offer()


class Toolbox:
    """All sources together, those that are there. Where two have a tool of one name, the first has it."""

    def __init__(self, sources: Sequence[Tools | None] = (), policy: ToolPolicy | None = None) -> None:
        self._sources = tuple(source for source in sources if source is not None)
        self._policy = policy or ToolPolicy()
        self.settled = not self._sources

    async def settle(self) -> None:
        """Waits until it is known what there is, a few seconds at most."""
        if not self.settled:
            await asyncio.gather(*(source.settled() for source in self._sources))
            self.settled = True

    def unused_rules(self) -> Sequence[str]:
        """The operator's rules that mean none of the tools there are: misspelt, perhaps."""
        return self._policy.unused(tool.name for source in self._sources for tool in source.offered())

    def offered(self, principal: Principal) -> Sequence[Tool]:
        """Those of ours that this one may use, in the order of their names."""
        return [tool for _, tool in sorted(self._ours(principal)[0].items())]

    def offer(self, principal: Principal, generation: Generation, agreed: Collection[str] = ()) -> Offer:
        """With those that the client brought, which count where ours have the same name. `agreed` are the names of
        tools whose calls somebody has agreed to."""
        brought = {tool.name: tool for tool in map(_clients, generation.tools or ())}
        if not self._sources:
            return Offer(brought) if brought else NOTHING_TO_OFFER
        ours, sources = self._ours(principal)
        if generation.unattended:
            ours = {name: tool for name, tool in ours.items() if not tool.needs_approval}
        absent = {name: source for name in agreed if (source := self._may_have(principal, name)) is not None}
        return Offer({**ours, **brought}, sources, absent)

    def _may_have(self, principal: Principal, name: str) -> Tools | None:
        if any(tool.name == name for source in self._sources for tool in source.offered()):
            return None
        allowed = self._policy.allows(principal, Tool(name, "", {}))
        return next((source for source in self._sources if allowed and source.may_have(name)), None)

    async def aclose(self) -> None:
        """Closes every source, whatever another raises."""
        async with AsyncExitStack() as stack:
            for source in self._sources:
                stack.push_async_callback(source.aclose)

    def _ours(self, principal: Principal) -> tuple[dict[str, Tool], dict[str, Tools]]:
        """Who may not use a tool has none of its name: another one would be called without what this one asks for."""
        tools: dict[str, Tool] = {}
        sources: dict[str, Tools] = {}
        taken: set[str] = set()
        for source in self._sources:
            for tool in source.offered():
                is_first = tool.name not in taken
                taken.add(tool.name)
                if is_first and self._policy.allows(principal, tool):
                    needs_approval = self._policy.needs_approval(tool)
                    same = needs_approval == tool.needs_approval
                    tools[tool.name] = tool if same else replace(tool, needs_approval=needs_approval)
                    sources[tool.name] = source
        return tools, sources


def _clients(function: Mapping[str, Any]) -> Tool:
    return Tool(
        name=function["name"],
        description=function.get("description") or "",
        parameters=function.get("parameters") or {"type": "object", "properties": {}},
        by=CarriedOutBy.CLIENT,
        strict=function.get("strict"),
    )
