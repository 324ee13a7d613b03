"""RunAgentInput, as clients send it (`@ag-ui/core` 1.0). Null is as good as absent: Python's clients send it so."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chatorch.domain.model.conversation import NewMessage, Role
from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.generation import Generation
from chatorch.entrypoints.ag_ui.client_ids import MAX_ID_CHARS, is_ours, kept
from chatorch.entrypoints.common.fields import ClientRef, Generated, ModelName
from chatorch.entrypoints.common.tool_fields import MAX_DESCRIPTION_CHARS, MAX_TOOLS, ToolName, require_different

MAX_RESUMED = 1000


def _nothing(value: object) -> object:
    if value not in (None, {}, [], ""):
        raise ValueError("must be empty: nothing here would use it")
    return value


Unused = Annotated[Any, AfterValidator(_nothing)]


class Props(Generated):
    """What an application passes through to the agent: here, how the answer is to be generated."""

    model: ModelName | None = None


class PageToolIn(BaseModel):
    """One of the client's own: what the model calls of it, the client carries out. `metadata` is the client's."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: ToolName
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARS)] | None = None
    parameters: dict[str, Any] | None = None
    metadata: Any = None


def _different(tools: list[PageToolIn]) -> list[PageToolIn]:
    require_different(tool.name for tool in tools)
    return tools


class ResumeIn(BaseModel):
    """An answer to an interrupt. `payload` as of `chatorch.entrypoints.ag_ui.calls.DECISION`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    interrupt_id: Annotated[str, Field(alias="interruptId", min_length=1, max_length=MAX_ID_CHARS)]
    status: Literal["resolved", "cancelled"]
    payload: Any = None
    metadata: Any = None


class Context(BaseModel):
    """Something that the model is to know for this one answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    description: str
    value: str


class Input(BaseModel):
    """What both addresses take: of `messages` the thread is ours already, but the last of the user's, and what came of
    calls since."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    thread_id: Annotated[ClientRef, Field(alias="threadId")]
    run_id: Annotated[ClientRef, Field(alias="runId")]
    protocol_version: Annotated[str | None, Field(alias="protocolVersion", max_length=16)] = None
    messages: list[dict[str, Any]]

    @property
    def holds_thoughts(self) -> bool:
        """Whether its page shows some."""
        return any(message.get("role") == "reasoning" for message in self.messages)


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
    tools: Annotated[list[PageToolIn], Field(max_length=MAX_TOOLS), AfterValidator(_different)] | None = None
    context: list[Context] | None = None
    forwarded_props: Annotated[Props | None, Field(alias="forwardedProps")] = None
    resume: Annotated[list[ResumeIn], Field(max_length=MAX_RESUMED)] | None = None

    @property
    def model(self) -> str | None:
        return self.forwarded_props.model if self.forwarded_props else None

    @property
    def generation(self) -> Generation:
        """As passed through; what the page tells of itself are rules for this answer only."""
        props = self.forwarded_props or Props()
        told = "\n\n".join(f"{each.description}:\n{each.value}" for each in self.context or ())
        members = {"name", "description", "parameters"}
        tools = tuple(tool.model_dump(include=members, exclude_none=True) for tool in self.tools or ())
        return replace(props.generation, instructions=told or None, tools=tools or props.generation.tools)

    def question(self) -> NewMessage:
        """The last message of the user's. Raises `InvalidField`."""
        index, message = self._last()
        content, name = text_of(message.get("content"), f"messages.{index}.content"), self.question_id
        return NewMessage(Role.USER, content, metadata=kept(name) if name else {})

    @property
    def question_id(self) -> str | None:
        """What its client calls it, where it has a name for it. Raises `InvalidField`."""
        return id_of(*self._last())

    @property
    def ends_with_question(self) -> bool:
        """Whether no answer stands behind the last message of the user's."""
        turns = (message.get("role") for message in reversed(self.messages))
        return next((role for role in turns if role in {"user", "assistant", "tool"}), None) == "user"

    def results(self) -> list[tuple[int, dict[str, Any]]]:
        """Those behind the last message of the user's, with their places."""
        found: list[tuple[int, dict[str, Any]]] = []
        for index in range(len(self.messages) - 1, -1, -1):
            if (role := self.messages[index].get("role")) == "user":
                break
            if role == "tool":
                found.append((index, self.messages[index]))
        return found[::-1]

    def brings_results(self) -> bool:
        """Whether some of them are its client's own."""
        return any(not is_ours(message.get("id")) for _, message in self.results())

    def has_open_calls(self) -> bool:
        """Whether calls that its client was told of have no result here."""
        calls: set[object] = set()
        for message in self.messages:
            if message.get("role") == "tool":
                calls.discard(str(message.get("toolCallId")))
            elif message.get("role") == "assistant" and isinstance(told := message.get("toolCalls"), list):
                calls |= {str(call["id"]) for call in told if isinstance(call, dict) and is_ours(call.get("id"))}
        return bool(calls)

    def _last(self) -> tuple[int, dict[str, Any]]:
        for index in range(len(self.messages) - 1, -1, -1):
            if self.messages[index].get("role") == "user":
                return index, self.messages[index]
        raise InvalidField("messages", "must hold a message of the user's")


def id_of(index: int, message: dict[str, Any]) -> str | None:
    """What its client calls the message at `index`. Raises `InvalidField`."""
    name = message.get("id")
    if name is None or (isinstance(name, str) and 1 <= len(name) <= MAX_ID_CHARS):
        return name
    raise InvalidField(f"messages.{index}.id", f"must be 1 to {MAX_ID_CHARS} characters")


def text_of(content: object, field: str) -> str:
    """Of a text, or of parts that are all texts. Raises `InvalidField`."""
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
