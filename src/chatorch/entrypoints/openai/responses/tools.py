"""Tools of the client's own, flat as Responses have them, and which of them is to be called."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from chatorch.domain.model.errors import InvalidField
from chatorch.entrypoints.common.field_paths import Parameters
from chatorch.entrypoints.common.tool_fields import MAX_TOOLS, FunctionIn, require_different

_FUNCTION = "function"
_CHOICES = frozenset({"none", "auto", "required"})


def tools_of(given: Sequence[Any] | None) -> tuple[Mapping[str, Any], ...] | None:
    """As `chatorch.domain.model.generation.Generation` has them. Raises `InvalidField`, which names the tool."""
    if not given:
        return None
    if len(given) > MAX_TOOLS:
        raise InvalidField("tools", f"must be at most {MAX_TOOLS}")
    tools = [_tool(tool, f"tools.{place}") for place, tool in enumerate(given)]
    try:
        require_different(tool["name"] for tool in tools)
    except ValueError as error:
        raise InvalidField("tools", str(error)) from None
    return tuple(tools)


def choice_of(given: str | Mapping[str, Any] | None) -> str | Mapping[str, Any] | None:
    """As `Generation` has it: one that is named stands inside of ``function``. ``auto`` is as it is by default."""
    if given is None or given == "auto":
        return None
    if isinstance(given, str):
        if given not in _CHOICES:
            raise InvalidField("tool_choice", f"must be one of {', '.join(sorted(_CHOICES))}, or name a function")
        return given
    if given.get("type") != _FUNCTION:
        raise InvalidField("tool_choice.type", f"can only be {_FUNCTION} here")
    if given.keys() != {"type", "name"} or not isinstance(given["name"], str):
        raise InvalidField("tool_choice", "must have a type and a name, and nothing else")
    return {"type": _FUNCTION, "function": {"name": given["name"]}}


def _tool(given: Any, field: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InvalidField(field, "must be an object")
    if given.get("type") != _FUNCTION:
        raise InvalidField(f"{field}.type", f"can only be {_FUNCTION} here: there are no tools of OpenAI's own")
    members = {name: value for name, value in given.items() if name != "type" and value is not None}
    try:
        return FunctionIn.model_validate(members).to_domain()
    except ValidationError as error:
        told = Parameters().error(error.errors()[0])
        place = "" if told["field"] == "body" else f".{told['field']}"
        raise InvalidField(f"{field}{place}", told["problem"]) from None
