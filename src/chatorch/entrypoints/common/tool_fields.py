"""Tools of a client's own, as OpenAI has them (https://platform.openai.com/docs/api-reference/chat/create)."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, StrictBool, Tag

from chatorch.domain.model.tools import MAX_NAME_CHARS

MAX_TOOLS = 128
MAX_DESCRIPTION_CHARS = 16_384

ToolName = Annotated[str, Field(pattern=rf"^[A-Za-z0-9_-]{{1,{MAX_NAME_CHARS}}}$")]


class FunctionIn(BaseModel):
    """`parameters` is a JSON schema of an object; without, it takes none."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: ToolName
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARS)] | None = None
    parameters: dict[str, Any] | None = None
    strict: StrictBool | None = None

    def to_domain(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


class ToolIn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["function"]
    function: FunctionIn


class NamedFunctionIn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: ToolName


class NamedToolIn(BaseModel):
    """The one that must be called."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["function"]
    function: NamedFunctionIn


def require_different(names: Iterable[str]) -> None:
    """Raises `ValueError`."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError("must have different names")
        seen.add(name)


def _different(tools: list[ToolIn]) -> list[ToolIn]:
    require_different(tool.function.name for tool in tools)
    return tools


ToolsIn = Annotated[list[ToolIn], Field(max_length=MAX_TOOLS, fail_fast=True), AfterValidator(_different)]


def _kind_of_choice(given: Any) -> str:
    return "(named)" if isinstance(given, dict | NamedToolIn) else "(word)"


# Tags in parentheses are no part of a field's path (`chatorch.entrypoints.common.field_paths`).
ToolChoiceIn = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("(word)")] | Annotated[NamedToolIn, Tag("(named)")],
    Discriminator(_kind_of_choice),
]


def clients_tools(tools: list[ToolIn] | None) -> tuple[Mapping[str, Any], ...] | None:
    """As `chatorch.domain.model.generation.Generation` has them."""
    return tuple(tool.function.to_domain() for tool in tools) if tools else None


def choice_of(choice: str | NamedToolIn | None) -> str | Mapping[str, Any] | None:
    return choice.model_dump() if isinstance(choice, NamedToolIn) else choice
