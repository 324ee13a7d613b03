"""What the fields of every door's requests and responses are made of."""

from typing import Annotated, Any, Generic, Self, TypeVar

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from chatorch.domain.model.conversation import NewMessage, Role, UsageSource
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.parts import PartKind
from chatorch.entrypoints.common.message_fields import ContentIn, parts_in, require_parts_of, text_in
from chatorch.entrypoints.common.tool_fields import ToolChoiceIn, ToolsIn, choice_of, clients_tools

MAX_METADATA_BYTES = 16 * 1024
MAX_MESSAGES = 1000
MAX_ID_CHARS = 64
MAX_LABEL_CHARS = 256
MAX_MODEL_CHARS = 128
MAX_TITLE_CHARS = 200

T = TypeVar("T")


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    if len(msgspec.json.encode(metadata)) > MAX_METADATA_BYTES:
        raise ValueError(f"must be at most {MAX_METADATA_BYTES} bytes of JSON")
    return metadata


def _printable(ref: str) -> str:
    if not ref.isprintable():
        raise ValueError("must be printable characters")
    return ref


def _format(response_format: dict[str, Any]) -> dict[str, Any]:
    if response_format.get("type") not in {"text", "json_object", "json_schema"}:
        raise ValueError("must have a type: text, json_object or json_schema")
    return response_format


def _not_blank(title: str) -> str:
    if not title.strip():
        raise ValueError("must not be blank")
    return title


Metadata = Annotated[dict[str, Any], AfterValidator(_small)]
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]
ModelName = Annotated[str, Field(min_length=1, max_length=MAX_MODEL_CHARS)]
Title = Annotated[str, Field(min_length=1, max_length=MAX_TITLE_CHARS), AfterValidator(_not_blank)]
ClientRef = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)]
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False, strict=True)]
TokenLimit = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
ReasoningEffort = Annotated[str, Field(pattern=r"^[a-z]{1,16}$")]
ResponseFormat = Annotated[dict[str, Any], AfterValidator(_format)]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Strict(BaseModel):
    """A request in which every field must be known."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Generated(Strict):
    """How the answer is to be generated; null is the provider's own way."""

    temperature: Temperature | None = None
    max_output_tokens: TokenLimit | None = None
    reasoning_effort: ReasoningEffort | None = None
    response_format: ResponseFormat | None = None
    tools: ToolsIn | None = None
    tool_choice: ToolChoiceIn | None = None

    @property
    def generation(self) -> Generation:
        return Generation(
            self.temperature,
            self.max_output_tokens,
            self.reasoning_effort,
            self.response_format,
            tools=clients_tools(self.tools),
            tool_choice=choice_of(self.tool_choice),
        )


class Described(BaseModel):
    """A response; all of its members are always there."""

    model_config = ConfigDict(extra="forbid")


class ChatMessageIn(Strict):
    """`content` must not be blank, and has an upper limit, `CHATORCH_MAX_CONTENT_CHARS`; the domain knows of both.

    As a list it has parts of type text, an assistant's also calls of tools, and a tool's what came of them.
    """

    role: Role
    content: ContentIn
    timestamp: Annotated[str, Field(max_length=64)] | None = None
    metadata: Metadata | None = None

    def to_domain(self) -> NewMessage:
        parts = parts_in(self.role, self.content)
        return NewMessage(self.role, text_in(self.content), self.timestamp, self.metadata or {}, parts=parts)

    @model_validator(mode="after")
    def _has_the_parts_of_its_role(self) -> Self:
        require_parts_of(self.role, self.content)
        return self


class PartOut(Described):
    """A part of a message; which members it has depends on its `type`. `index` where a message has several."""

    type: PartKind
    index: int | None = None
    text: str | None = None
    id: str | None = None
    name: str | None = None
    arguments: str | None = None
    status: str | None = None
    needs_approval: bool | None = None
    call_id: str | None = None
    content: str | None = None
    is_error: bool | None = None
    file_id: str | None = None
    media_type: str | None = None
    size: int | None = None
    url: str | None = None
    title: str | None = None
    data: Any = None

    @model_serializer(mode="wrap")
    def _without_what_is_absent(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        members: dict[str, Any] = serialize(self)
        return {name: value for name, value in members.items() if value is not None}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """By its members: of what a serializer returns pydantic knows only that it is an object."""
        plain: Any = {name: said for name, said in core_schema.items() if name != "serialization"}
        return handler(plain)


class UsageOut(Described):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    source: UsageSource


class PageOut(Described, Generic[T]):
    """`after` is the cursor of the next page, null on the last one."""

    data: list[T]
    has_more: bool
    after: str | None


class FieldProblem(BaseModel):
    field: str
    problem: str


class Problem(BaseModel):
    """RFC 9457. `code` is stable; `message` is the title; `run_id` is there where a run is concerned."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None
    message: str
    errors: list[FieldProblem] | None = None
    run_id: str | None = None
    error: str | None = None
