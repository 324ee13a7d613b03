"""Items about calls of tools that a client sends: calls and results of its own history, and answers to what waits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from chatorch.domain.model.calls import call_part, result_part
from chatorch.domain.model.conversation import NewMessage, Role
from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.text import storable_text
from chatorch.domain.model.tools import CallStatus
from chatorch.entrypoints.common.message_fields import CallId
from chatorch.entrypoints.common.tool_fields import ToolName
from chatorch.entrypoints.openai.responses.call_items import unlabelled
from chatorch.entrypoints.openai.strict import require_known

CALL, OUTPUT = "function_call", "function_call_output"
OUR_CALL, REQUEST, RESPONSE = "mcp_call", "mcp_approval_request", "mcp_approval_response"
# What is parsed is what openai-node makes of a call.
KNOWN: Mapping[str, frozenset[str]] = {
    CALL: frozenset({"type", "id", "call_id", "name", "arguments", "status", "parsed_arguments"}),
    OUTPUT: frozenset({"type", "id", "call_id", "name", "output", "status"}),
    OUR_CALL: frozenset(
        {"type", "id", "name", "arguments", "server_label", "output", "error", "status", "approval_request_id"}
    ),
    REQUEST: frozenset({"type", "id", "name", "arguments", "server_label"}),
    RESPONSE: frozenset({"type", "id", "approval_request_id", "approve", "reason"}),
}

_CALL_ID: TypeAdapter[str] = TypeAdapter(CallId)
_NAME: TypeAdapter[str] = TypeAdapter(ToolName)
_TEXTS = frozenset({"input_text", "output_text", "text"})

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OutputIn:
    """What came of a call of the client's tool; `field` is where the item stands."""

    field: str
    call_id: str
    content: str


@dataclass(frozen=True, slots=True)
class ApprovalIn:
    field: str
    request_id: str
    approve: bool
    reason: str | None


AnswerIn = OutputIn | ApprovalIn


def call_in(item: Item, field: str) -> Part:
    """Raises `InvalidField`, as all of these."""
    call_id = _valid(_CALL_ID, item.get("call_id"), f"{field}.call_id")
    name = _valid(_NAME, item.get("name"), f"{field}.name")
    return call_part(call_id, name, _text(item.get("arguments"), f"{field}.arguments"))


def output_in(item: Item, field: str) -> OutputIn:
    call_id = _valid(_CALL_ID, item.get("call_id"), f"{field}.call_id")
    return OutputIn(field, call_id, storable_text(_output(item.get("output"), f"{field}.output")))


def approval_in(item: Item, field: str) -> ApprovalIn:
    request_id = _text(item.get("approval_request_id"), f"{field}.approval_request_id")
    approve, reason = item.get("approve"), item.get("reason")
    if not isinstance(approve, bool):
        raise InvalidField(f"{field}.approve", "must be true or false")
    return ApprovalIn(field, request_id, approve, None if reason is None else _text(reason, f"{field}.reason"))


def our_call_in(item: Item, field: str) -> tuple[Part, Part] | None:
    """A call of ours and what came of it, as it was told; None where that is not known. Nobody carries it out again."""
    output, error = item.get("output"), item.get("error")
    if output is None and error is None:
        return None
    call_id = _valid(_CALL_ID, item.get("id"), f"{field}.id")
    label = _text(item.get("server_label"), f"{field}.server_label")
    name = _valid(_NAME, unlabelled(_text(item.get("name"), f"{field}.name"), label), f"{field}.name")
    call = call_part(call_id, name, _text(item.get("arguments"), f"{field}.arguments"))
    if error is not None:
        return call, result_part(call_id, CallStatus.FAILED, storable_text(_error_text(error)))
    return call, result_part(call_id, CallStatus.COMPLETED, storable_text(_text(output, f"{field}.output")))


def calling(text: str, call: Part) -> NewMessage:
    return NewMessage(Role.ASSISTANT, text, parts=(Part(PartKind.TEXT, body=text), call))


def result(result: Part) -> NewMessage:
    return NewMessage(Role.TOOL, "", parts=(Part(PartKind.TEXT), result))


def output_result(output: OutputIn) -> Part:
    return result_part(output.call_id, CallStatus.COMPLETED, output.content)


def _output(given: object, field: str) -> str:
    if isinstance(given, str):
        return given
    if not isinstance(given, list):
        raise InvalidField(field, "must be text, or a list of parts")
    return "".join(_piece(part, f"{field}.{index}") for index, part in enumerate(given))


def _piece(part: object, field: str) -> str:
    if not isinstance(part, dict):
        raise InvalidField(field, "must be an object")
    if not isinstance(part.get("type"), str) or part["type"] not in _TEXTS:
        raise InvalidField(f"{field}.type", "can only be text here: input_text")
    require_known(part, {"type", "text", "annotations", "logprobs", "prompt_cache_breakpoint"}, field)
    return _text(part.get("text"), f"{field}.text")


def _error_text(error: object) -> str:
    """As `call_items` tells it; of what others made of it as much as there is."""
    if isinstance(error, dict):
        content = error.get("content")
        if isinstance(content, list):
            return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
        error = error.get("message") or content
    return error if isinstance(error, str) else "This tool failed."


def _text(given: object, field: str) -> str:
    if not isinstance(given, str):
        raise InvalidField(field, "must be text")
    return given


def _valid(adapter: TypeAdapter[str], given: object, field: str) -> str:
    try:
        return adapter.validate_python(given, strict=True)
    except ValidationError as error:
        problem = str(error.errors()[0]["msg"]).removeprefix("String ").removeprefix("Input ")
        raise InvalidField(field, problem.replace("should ", "must ", 1)) from None
