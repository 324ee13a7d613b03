"""A server's tools as we offer them."""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp_types import Tool as McpTool
from mcp_types import ToolAnnotations

from chatorch.adapters.tools.mcp.names import public_name
from chatorch.adapters.tools.mcp.servers import Approval, McpServer
from chatorch.adapters.tools.mcp.texts import short
from chatorch.domain.model.facts import require_storable
from chatorch.domain.model.tools import Tool

MAX_TOOLS = 128
"""What providers take with a request (OpenAI: 128 functions). One more would fail every answer of everybody."""
MAX_DESCRIPTION_CHARS = 1024
MAX_SCHEMA_CHARS = 32 * 1024
MAX_LOGGED_CHARS = 100

_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint")
_UNSAID = ToolAnnotations()
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool, and what its server calls it."""

    tool: Tool
    own_name: str


class Sieve:
    """Takes out of a server's list what is no tool that a provider could be told of, and says so once for each."""

    def __init__(self, server: McpServer) -> None:
        self._server = server
        self._told: set[str] = set()

    def sift(self, listed: Iterable[object]) -> list[dict[str, Any]]:
        """Those of a ``tools/list`` result that can be read at all, each with nothing but what is asked of it: the
        official package refuses the whole list for one of them."""
        return [lean for tool in listed if (lean := self._lean(tool)) is not None]

    def offers(self, tools: Iterable[McpTool]) -> dict[str, Offer]:
        """By public name; of two by one name the first."""
        found: dict[str, Offer] = {}
        for tool in tools:
            name = public_name(self._server.name, tool.name)
            if name in found:
                self._refuse(tool.name, "there are two of this name")
            elif len(found) == MAX_TOOLS:
                self._refuse(tool.name, f"there are more than {MAX_TOOLS} of them")
            elif self._fits(tool):
                found[name] = Offer(_tool(self._server, name, tool), tool.name)
        return found

    def _lean(self, tool: object) -> dict[str, Any] | None:
        name = tool.get("name") if isinstance(tool, Mapping) else None
        if not isinstance(tool, Mapping) or not isinstance(name, str) or not name:
            self._refuse("", "it has no name")
            return None
        schema, said, hints = tool.get("inputSchema"), tool.get("description"), tool.get("annotations")
        properties = schema.get("properties", {}) if isinstance(schema, Mapping) else None
        if not isinstance(schema, Mapping) or schema.get("type") != "object" or not isinstance(properties, Mapping):
            self._refuse(name, "its inputSchema is no schema of an object")
            return None
        lean = {"name": name, "inputSchema": dict(schema)}
        if isinstance(said, str):
            lean["description"] = said
        if isinstance(hints, Mapping):
            lean["annotations"] = {hint: hints[hint] for hint in _HINTS if isinstance(hints.get(hint), bool)}
        return lean

    def _fits(self, tool: McpTool) -> bool:
        try:
            require_storable(tool.input_schema)
        except ValueError:
            self._refuse(tool.name, "its inputSchema holds what is no text or number, or is too deep")
            return False
        if len(json.dumps(tool.input_schema, ensure_ascii=False)) > MAX_SCHEMA_CHARS:
            self._refuse(tool.name, f"its inputSchema is longer than {MAX_SCHEMA_CHARS} characters")
            return False
        return True

    def _refuse(self, tool: str, problem: str) -> None:
        name = short(tool, MAX_LOGGED_CHARS)
        if name in self._told or len(self._told) > MAX_TOOLS:
            return
        self._told.add(name)
        told = {"server": self._server.name, "tool": name, "problem": problem}
        _logger.warning("mcp_tool_not_offered: %(server)s, %(tool)s: %(problem)s", told)


def _tool(server: McpServer, name: str, tool: McpTool) -> Tool:
    hints = tool.annotations or _UNSAID
    return Tool(
        name=name,
        description=short(tool.description or "", MAX_DESCRIPTION_CHARS),
        parameters={"properties": {}} | tool.input_schema,
        needs_approval=needs_approval(server.approval, hints),
        idempotent=hints.idempotent_hint is True or hints.read_only_hint is True,
    )


def needs_approval(approval: Approval, hints: ToolAnnotations) -> bool:
    """By the specification a tool that does not say otherwise writes, and what writes may destroy
    (2025-11-25, ToolAnnotations). That a tool only reads is worth more than that it destroys: the other hint has no
    meaning beside it."""
    match approval:
        case Approval.ALWAYS:
            return True
        case Approval.NEVER:
            return False
        case Approval.DECLARED:
            return hints.read_only_hint is not True and hints.destructive_hint is True
        case Approval.ANNOTATED:
            return hints.read_only_hint is not True and hints.destructive_hint is not False
