"""RunAgentInput, as clients send it (`@ag-ui/core` 1.0). Null is as good as absent: Python's clients send it so."""

from dataclasses import replace
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chatorch.domain.model.conversation import NewMessage, Role
from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.generation import Generation
from chatorch.entrypoints.ag_ui.client_ids import MAX_ID_CHARS, is_ours, kept
from chatorch.entrypoints.common.fields import ClientRef, Generated, ModelName

ASKS_NO_CALLS = "this server asks its clients for no calls"


def _nothing(value: object) -> object:
    if value not in (None, {}, [], ""):
        raise ValueError("must be empty: nothing here would use it")
    return value


def _no_tools(value: object) -> object:
    if value not in (None, []):
        raise ValueError(f"must be empty: {ASKS_NO_CALLS}")
    return value


Unused = Annotated[Any, AfterValidator(_nothing)]
Tools = Annotated[Any, AfterValidator(_no_tools)]


class Props(Generated):
    """What an application passes through to the agent: here, how the answer is to be generated."""

    model: ModelName | None = None


class Context(BaseModel):
    """Something that the model is to know for this one answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    description: str
    value: str


class Input(BaseModel):
    """What both addresses take: of `messages` the thread is ours already, but the last of the user's."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    thread_id: Annotated[ClientRef, Field(alias="threadId")]
    run_id: Annotated[ClientRef, Field(alias="runId")]
    protocol_version: Annotated[str | None, Field(alias="protocolVersion", max_length=16)] = None
    messages: list[dict[str, Any]]


class ConnectInput(Input):
    """Nothing runs for it, so nothing else in it counts."""

    parent_run_id: Annotated[Any, Field(alias="parentRunId")] = None
    state: Any = None
    tools: Any = None
    context: Any = None
    forwarded_props: Annotated[Any, Field(alias="forwardedProps")] = None
    resume: Any = None


class RunInput(Input):
    """What would be dropped is refused by its name; the official client always sends empty ones."""

    parent_run_id: Annotated[Unused, Field(alias="parentRunId")] = None
    state: Unused = None
    tools: Tools = None
    context: list[Context] | None = None
    forwarded_props: Annotated[Props | None, Field(alias="forwardedProps")] = None
    resume: Unused = None

    @property
    def model(self) -> str | None:
        return self.forwarded_props.model if self.forwarded_props else None

    @property
    def generation(self) -> Generation:
        """As passed through; what the page tells of itself are rules for this answer only."""
        props = self.forwarded_props or Props()
        told = "\n\n".join(f"{each.description}:\n{each.value}" for each in self.context or ())
        return replace(props.generation, instructions=told or None)

    def question(self) -> NewMessage:
        """The last message of the user's. Raises `InvalidField`."""
        index, message = self._last()
        content, name = _text(message.get("content"), f"messages.{index}.content"), self.question_id
        return NewMessage(Role.USER, content, metadata=kept(name) if name else {})

    @property
    def question_id(self) -> str | None:
        """What its client calls it, where it has a name for it. Raises `InvalidField`."""
        index, message = self._last()
        name = message.get("id")
        if name is None or (isinstance(name, str) and 1 <= len(name) <= MAX_ID_CHARS):
            return name
        raise InvalidField(f"messages.{index}.id", f"must be 1 to {MAX_ID_CHARS} characters")

    def _last(self) -> tuple[int, dict[str, Any]]:
        for index in range(len(self.messages) - 1, -1, -1):
            message = self.messages[index]
            if message.get("role") == "user":
                return index, message
            if message.get("role") == "tool" and not is_ours(message.get("id")):
                raise InvalidField(f"messages.{index}.role", f"must not be tool: {ASKS_NO_CALLS}")
        raise InvalidField("messages", "must hold a message of the user's")


def _text(content: object, field: str) -> str:
    """Of a text, or of parts that are all texts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise InvalidField(field, "must be a text, or a list of parts")
    texts: list[str] = []
    for index, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") != "text":
            raise InvalidField(f"{field}.{index}.type", "must be text: nothing else is taken in a message")
        if not isinstance(part.get("text"), str):
            raise InvalidField(f"{field}.{index}.text", "must be a string")
        texts.append(part["text"])
    return "\n\n".join(texts)
