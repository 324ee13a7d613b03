"""How an answer is to be generated, beside by which model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Generation:
    """What a client asks of the model; None is the provider's own default.

    `instructions` are rules for this one answer, behind those of the operator and of the thread.
    `response_format` is JSON as OpenAI has it: ``{"type": "json_object"}``, or a ``json_schema`` with its schema.
    `max_output_tokens` counts reasoning too. A model that cannot do what is asked refuses the run. `tools` are the
    client's own, as OpenAI has functions: ``{"name", "description", "parameters", "strict"}``; `tool_choice` is JSON as
    OpenAI has it. `unattended`: nobody is there who could approve of a call, so no tool is offered that needs it.
    """

    temperature: float | None = None
    max_output_tokens: int | None = None
    reasoning_effort: str | None = None
    response_format: Mapping[str, Any] | None = None
    instructions: str | None = None
    tools: Sequence[Mapping[str, Any]] | None = None
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    unattended: bool | None = None

    def asked(self) -> dict[str, Any]:
        """What is not left to the provider, by name: JSON that is kept with a run."""
        asked = ((member.name, getattr(self, member.name)) for member in fields(self))
        return {name: value for name, value in asked if value is not None}

    def going_on(self) -> "Generation":
        """As asked, of a model that has called what it had to: it would have to call tools for ever."""
        return self if self.tool_choice in (None, "auto", "none") else replace(self, tool_choice=None)


OF_TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "unattended")
AS_USUAL = Generation()
