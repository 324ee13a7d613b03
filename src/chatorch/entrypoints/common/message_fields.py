"""What a message that a client sends is made of: text, or parts."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, Tag

from chatorch.domain.model.calls import call_part, result_part
from chatorch.domain.model.conversation import Role
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.text import storable_text
from chatorch.domain.model.tools import CallStatus
from chatorch.entrypoints.common.tool_fields import ToolName

MAX_PARTS = 1000
MAX_CALL_ID_CHARS = 65_536
"""Some providers keep what they want back, kilobytes of it, in the id of a call."""

CallId = Annotated[str, Field(min_length=1, max_length=MAX_CALL_ID_CHARS)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TextIn(_Part):
    type: Literal["text"]
    text: str


class ToolCallIn(_Part):
    """A call that the client carried out. `arguments` is JSON text."""

    type: Literal["tool_call"]
    id: CallId
    name: ToolName
    arguments: str


class ToolResultIn(_Part):
    type: Literal["tool_result"]
    call_id: CallId
    content: str
    is_error: StrictBool = False


def _kind_of_part(given: Any) -> str | None:
    kind = given.get("type") if isinstance(given, dict) else getattr(given, "type", None)
    return f"({kind})"


def _kind_of_content(given: Any) -> str:
    return "(parts)" if isinstance(given, list) else "(whole)"


# Tags in parentheses are no part of a field's path (`chatorch.entrypoints.common.field_paths`).
PartIn = Annotated[
    Annotated[TextIn, Tag("(text)")]
    | Annotated[ToolCallIn, Tag("(tool_call)")]
    | Annotated[ToolResultIn, Tag("(tool_result)")],
    Discriminator(
        _kind_of_part,
        custom_error_type="unknown_part",
        custom_error_message="Input should be a part of type text, tool_call or tool_result",
    ),
]
ContentIn = Annotated[
    Annotated[str, Field(min_length=1), Tag("(whole)")]
    | Annotated[list[PartIn], Field(min_length=1, max_length=MAX_PARTS), Tag("(parts)")],
    Discriminator(_kind_of_content),
]
"""Text, or a list of parts."""

_OF_ROLES: dict[Role, tuple[type[_Part], ...]] = {Role.ASSISTANT: (TextIn, ToolCallIn), Role.TOOL: (ToolResultIn,)}


def require_parts_of(role: Role, content: str | list[PartIn]) -> None:
    """Raises `ValueError`."""
    if isinstance(content, str):
        if role is Role.TOOL:
            raise ValueError("content must have parts of type tool_result, where the role is tool")
        return
    if not all(isinstance(part, _OF_ROLES.get(role, (TextIn,))) for part in content):
        raise ValueError(f"content has parts that a message of the role {role.value} has not")


def text_in(content: str | list[PartIn]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if isinstance(part, TextIn))


def parts_in(role: Role, content: str | list[PartIn]) -> tuple[Part, ...]:
    """None where it is nothing but text."""
    if isinstance(content, str) or role not in _OF_ROLES:
        return ()
    others = [_part(part) for part in content if not isinstance(part, TextIn)]
    return (Part(PartKind.TEXT, body=text_in(content)), *others) if others else ()


def _part(part: ToolCallIn | ToolResultIn) -> Part:
    if isinstance(part, ToolCallIn):
        return call_part(part.id, part.name, part.arguments)
    status = CallStatus.FAILED if part.is_error else CallStatus.COMPLETED
    return result_part(part.call_id, status, storable_text(part.content))
