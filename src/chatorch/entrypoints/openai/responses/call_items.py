"""Calls of tools as items of a response.

To these clients a ``function_call`` is theirs to carry out: only those of their own tools are. What we carry out is an
``mcp_call``, which they know to be carried out elsewhere, and what a person must agree to first an
``mcp_approval_request``. Of what a model called unasked there is no item.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chatorch.domain.model.conversation import MessageId, RunId
from chatorch.domain.model.parts import Facts, Part, PartKind
from chatorch.domain.model.tools import CallStatus, CarriedOutBy
from chatorch.domain.services.execution.tool_calls import readable
from chatorch.entrypoints.openai.responses.ids import APPROVAL_REQUEST, FUNCTION_CALL, MCP_CALL, item_id
from chatorch.entrypoints.openai.responses.items import COMPLETED, IN_PROGRESS, Event, Item, Json

FAILED = "failed"
OURS = "chatorch"
"""What a server is called whose tools are in this process."""
NO_ARGUMENTS = "{}"
_BETWEEN = "__"
"""Stands in a tool's name between the server that has it and what that calls it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that an earlier response of the same turn asked to be approved, and the id of that item."""

    call: Part
    request_id: str


AskedCalls = Mapping[str, Asked]
"""By the ids of the calls."""


def labelled(name: str) -> Json:
    """A tool's name as its server's, and that server."""
    server, _, rest = name.partition(_BETWEEN)
    if not server or not rest or server == OURS:
        return {"name": name, "server_label": OURS}
    return {"name": rest, "server_label": server}


def whole(arguments: str) -> str:
    """Of a call that has ended: its client reads them as JSON, and some models say nothing where there are none."""
    return arguments if arguments.strip() else arguments + NO_ARGUMENTS


def unlabelled(name: str, server_label: str) -> str:
    """And back."""
    return name if server_label == OURS else f"{server_label}{_BETWEEN}{name}"


@dataclass(frozen=True, slots=True)
class CallItem(Item):
    """`head` is the call's."""

    head: Facts

    kind = PartKind.TOOL_CALL

    @property
    def call_id(self) -> str:
        return str(self.head["id"])


@dataclass(frozen=True, slots=True)
class FunctionCallItem(CallItem):
    delta = "response.function_call_arguments.delta"

    def view(self, text: str, status: str) -> Json:
        arguments = whole(text) if status == COMPLETED else text
        named = {"call_id": self.call_id, "name": self.head["name"], "arguments": arguments}
        return {"id": self.id, "type": "function_call", "status": status, **named}

    def opening(self, place: int) -> Iterator[Event]:  # noqa: ARG002
        yield from ()

    def closing(self, place: int, text: str) -> Iterator[Event]:
        if whole(text) != text:
            yield self.delta, {**self.where(place), "delta": NO_ARGUMENTS}
        members = {**self.where(place), "name": self.head["name"], "arguments": whole(text)}
        yield "response.function_call_arguments.done", members


@dataclass(frozen=True, slots=True)
class ApprovalItem(CallItem):
    """It is told when it is whole, if anybody is asked."""

    delta = ""

    @staticmethod
    def asks(arguments: str) -> bool:
        """Of a call that cannot be made only the model hears."""
        return readable(arguments)

    def view(self, text: str, status: str) -> Json:  # noqa: ARG002  # it has none
        return {"id": self.id, "type": "mcp_approval_request", "arguments": whole(text), **labelled(self.head["name"])}

    def opening(self, place: int) -> Iterator[Event]:  # noqa: ARG002
        yield from ()

    def closing(self, place: int, text: str) -> Iterator[Event]:  # noqa: ARG002
        yield from ()


@dataclass(frozen=True, slots=True)
class McpCallItem(CallItem):
    """It goes on when its arguments are whole, until there is a result. `request_id` as of `Asked`."""

    request_id: str | None = None

    delta = "response.mcp_call_arguments.delta"

    def view(self, text: str, status: str) -> Json:
        return self._view(text, status, None, None)

    def opening(self, place: int) -> Iterator[Event]:
        yield "response.mcp_call.in_progress", self.where(place)

    def closing(self, place: int, text: str) -> Iterator[Event]:
        yield "response.mcp_call_arguments.done", {**self.where(place), "arguments": text}

    def at_once(self, place: int, arguments: str) -> Iterator[Event]:
        """All that comes before its end, of one whose arguments are known."""
        yield "response.output_item.added", {"output_index": place, "item": self.view("", IN_PROGRESS)}
        yield from self.opening(place)
        if arguments:
            yield self.delta, {**self.where(place), "delta": arguments}
        yield from self.closing(place, arguments)

    def answered(self, arguments: str, result: Facts, said: str) -> Json:
        """`result` is the head of the part that answers it, `said` its body."""
        if result["status"] == CallStatus.COMPLETED:
            return self._view(arguments, COMPLETED, said, None)
        content = [{"type": "text", "text": said}]
        return self._view(arguments, FAILED, None, {"type": "mcp_tool_execution_error", "content": content})

    def ending(self, place: int, result: Facts) -> Event:
        good = result["status"] == CallStatus.COMPLETED
        return ("response.mcp_call.completed" if good else "response.mcp_call.failed"), self.where(place)

    def _view(self, arguments: str, status: str, output: str | None, error: Json | None) -> Json:
        return {
            "id": self.id,
            "type": "mcp_call",
            "status": status,
            "approval_request_id": self.request_id,
            "arguments": arguments,
            "error": error,
            **labelled(self.head["name"]),
            "output": output,
        }


def call_item(owner: RunId | MessageId, index: int, call: Part) -> CallItem | None:
    """None for what the model called unasked."""
    by = call.head.get("by")
    if by == CarriedOutBy.CLIENT:
        return FunctionCallItem(item_id(FUNCTION_CALL, owner, index), call.head)
    if by is None:
        return None
    if call.head.get("needs_approval"):
        return ApprovalItem(item_id(APPROVAL_REQUEST, owner, index), call.head)
    return McpCallItem(item_id(MCP_CALL, owner, index), call.head)


def approved_item(run_id: RunId, index: int, asked: Asked) -> McpCallItem:
    """Of a call that the turn waited for: its result is the part `index`."""
    return McpCallItem(item_id(MCP_CALL, run_id, index), asked.call.head, asked.request_id)


def answers_call(result: Part) -> bool:
    """Whether it says what it answers, and how that went."""
    return {"call_id", "status"} <= result.head.keys()
