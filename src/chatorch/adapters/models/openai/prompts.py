"""A message of a prompt, as it is sent."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from chatorch.adapters.models.openai.calls import OPAQUE
from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.parts import Part
from chatorch.domain.model.tools import Tool

_WORDS = {"reasoning.text": "text", "reasoning.summary": "summary", "thinking": "thinking"}
"""Where a detail of this type has the words that it was kept without."""

NOT_AN_OBJECT = "not_a_json_object"
"""Where arguments stand that are none."""


def message_of(message: PromptMessage) -> dict[str, Any]:
    """Reasoning goes as DeepSeek and most others have it, and as OpenRouter wants it back where it was signed."""
    sent: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.call_id is not None:
        sent["tool_call_id"] = message.call_id
    if message.calls:
        sent["content"] = message.content or None
        sent["tool_calls"] = [_call(call) for call in message.calls]
    if message.reasoning:
        if words := "".join(part.body for part in message.reasoning):
            sent["reasoning_content"] = words
        if details := [detail for part in message.reasoning for detail in _details_of(part)]:
            sent["reasoning_details"] = details
    return sent


def _call(call: Part) -> dict[str, Any]:
    """With what its provider wants back beside it."""
    function = {"name": call.head["name"], "arguments": _arguments(call.body)}
    sent: dict[str, Any] = {"id": call.head["id"], "type": "function", "function": function}
    for opaque in call.result.get("details", ()):
        if isinstance(opaque, Mapping):
            sent.update({name: said for name, said in opaque.items() if name in OPAQUE})
    return sent


def _arguments(said: str) -> str:
    """JSON text of an object, whatever the model said: many servers read what is in a history, and refuse all of it for
    one call that they cannot. What was said stands in it, for the model to mend."""
    if not said.strip():
        return "{}"
    try:
        is_object = isinstance(msgspec.json.decode(said), dict)
    except (ValueError, RecursionError):
        is_object = False
    return said if is_object else msgspec.json.encode({NOT_AN_OBJECT: said}).decode()


def function_of(tool: Tool) -> dict[str, Any]:
    """A tool as it is offered (https://platform.openai.com/docs/api-reference/chat/create, ``tools``)."""
    function: dict[str, Any] = {"name": tool.name, "parameters": dict(tool.parameters)}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _details_of(part: Part) -> Iterator[dict[str, Any]]:
    """As they came: the first that had words gets those of the part."""
    words: str | None = part.body
    for detail in part.result.get("details", ()):
        if not isinstance(detail, Mapping):
            continue
        name = _WORDS.get(str(detail.get("type")))
        yield dict(detail) if name is None or words is None else {**detail, name: words}
        if name is not None:
            words = None
