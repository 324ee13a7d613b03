"""Requests and responses as they are on the wire. Responses are only described here: `views` builds them."""

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool

from chatorch.domain.model.conversation import MessageStatus, NewMessage, Role, UsageSource
from chatorch.domain.model.run import RunStatus
from chatorch.domain.services.presence import MAX_ANNOUNCEMENT_CHARS
from chatorch.entrypoints.common.field_paths import KNOWN_FIELDS

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


def _not_blank(title: str) -> str:
    if not title.strip():
        raise ValueError("must not be blank")
    return title


Metadata = Annotated[dict[str, Any], AfterValidator(_small)]
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]
ModelName = Annotated[str, Field(min_length=1, max_length=MAX_MODEL_CHARS)]
Title = Annotated[str, Field(min_length=1, max_length=MAX_TITLE_CHARS), AfterValidator(_not_blank)]
Stream = Annotated[StrictBool | None, Field(description="Events, or JSON; where it is left out, Accept decides")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Strict(BaseModel):
    """A request in which every field must be known."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        KNOWN_FIELDS.update(cls.model_fields)


class Described(BaseModel):
    """A response; all of its members are always there."""

    model_config = ConfigDict(extra="forbid")


# -- requests ------------------------------------------------------------------------------------------------------


class ChatMessageIn(Strict):
    """`content` must not be blank, and has an upper limit, `CHATORCH_MAX_CONTENT_CHARS`; the domain knows of both."""

    role: Role
    content: Annotated[str, Field(min_length=1)]
    timestamp: Annotated[str, Field(max_length=64)] | None = None
    metadata: Metadata | None = None

    def to_domain(self) -> NewMessage:
        return NewMessage(self.role, self.content, self.timestamp, self.metadata or {})


class ChatRequest(Strict):
    messages: Annotated[list[ChatMessageIn], Field(min_length=1, max_length=MAX_MESSAGES)]
    thread_id: Id | None = None
    model: ModelName | None = None
    user_id: Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARS)] | None = None
    stream: Stream = None

    def new_messages(self) -> tuple[NewMessage, ...]:
        return tuple(message.to_domain() for message in self.messages)


class RetryRequest(Strict):
    """May be left out altogether."""

    stream: Stream = None
    model: ModelName | None = None


class ThreadPatch(Strict):
    """What is absent or null stays as it is; `metadata` replaces all of it."""

    title: Title | None = None
    metadata: Metadata | None = None


class BroadcastRequest(Strict):
    text: Annotated[str, Field(min_length=1, max_length=MAX_ANNOUNCEMENT_CHARS)]


# -- responses -----------------------------------------------------------------------------------------------------


class UsageOut(Described):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    source: UsageSource


class ChatResponse(Described):
    response: str
    thread_id: str
    timestamp: Time
    run_id: str
    message_id: str
    model: str
    finish_reason: str
    usage: UsageOut


class RunErrorOut(Described):
    code: str
    detail: str


class RunOut(Described):
    """`text` is what is there so far."""

    id: str
    thread_id: str
    message_id: str
    status: RunStatus
    model: str
    created_at: Time
    finished_at: Time | None
    finish_reason: str | None
    usage: UsageOut | None
    error: RunErrorOut | None
    text: str


class ThreadOut(Described):
    id: str
    title: str
    created_at: Time
    updated_at: Time
    metadata: dict[str, Any]


class MessageOut(Described):
    """A message of the user's is `incomplete` where the provider refused it: it is not sent again, but by a retry."""

    id: str
    role: Role
    content: str
    status: MessageStatus
    created_at: Time
    run_id: str | None
    metadata: dict[str, Any]


class PageOut(Described, Generic[T]):
    """`after` is the cursor of the next page, null on the last one."""

    data: list[T]
    has_more: bool
    after: str | None


class TokenResponse(Described):
    """RFC 6749, 5.1. `expires_in` is in seconds; `scope` is separated by spaces."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    scope: str


class MeOut(Described):
    user_id: str
    username: str
    scope: str


class AnnouncementOut(Described):
    """As it was sent."""

    text: str
    timestamp: Time


class HealthOut(Described):
    """`model` is there only where no provider is set up: then it is ``offline``. `redis` only with ``REDIS_URL``.

    While `redis` is ``down`` this process goes on alone, and `redis_problem` says why: a name (Redis's own codes in
    capitals) and what to do. See ``/health/ready`` for whether it may have traffic.
    """

    status: Literal["healthy", "draining"]
    timestamp: Time
    service: str
    version: str
    model: Literal["offline"] | None = None
    redis: Literal["up", "down"] | None = None
    redis_problem: str | None = None


class ReadyOut(Described):
    status: Literal["ready", "unready"]
    checks: dict[str, str]


class MetricsOut(Described):
    """Figures of all processes since they started; `uptime` and `loop_lag_seconds` are of the one that answers.

    `redis_up` is there only with ``REDIS_URL``. While it is 0, all figures are of the one that answers.
    """

    active_connections: int
    total_messages_processed: int
    uptime: float
    live_runs: int
    db_pool_in_use: int
    db_pool_size: int
    loop_lag_seconds: float
    redis_up: Literal[0, 1] | None = None


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
