"""Requests and responses of the API as they are on the wire. Responses are only described: `views` builds them."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictBool, model_validator

from chatorch.domain.model.call_answers import Answer, CallDecision, CallOutput
from chatorch.domain.model.conversation import MessageStatus, NewMessage, Role
from chatorch.domain.model.run import RunStatus
from chatorch.domain.services.presence import MAX_ANNOUNCEMENT_CHARS
from chatorch.entrypoints.common.fields import (
    MAX_LABEL_CHARS,
    MAX_MESSAGES,
    ChatMessageIn,
    ClientRef,
    Described,
    Generated,
    Id,
    Metadata,
    ModelName,
    PartOut,
    Strict,
    Time,
    Title,
    UsageOut,
)
from chatorch.entrypoints.common.message_fields import CallId, ToolResultIn

MAX_ANSWERS = 200
MAX_REASON_CHARS = 1000

Stream = Annotated[StrictBool | None, Field(description="Events, or JSON; where it is left out, Accept decides")]

# -- requests ------------------------------------------------------------------------------------------------------


class ChatRequest(Generated):
    """`client_ref` is the client's own id for a thread: the one of that name, or a new one.

    With `background` the run goes on to its end though nobody watches.
    """

    messages: Annotated[list[ChatMessageIn], Field(min_length=1, max_length=MAX_MESSAGES)]
    thread_id: Id | None = None
    client_ref: ClientRef | None = None
    model: ModelName | None = None
    user_id: Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARS)] | None = None
    stream: Stream = None
    background: StrictBool = False

    @model_validator(mode="after")
    def _names_one_thread(self) -> Self:
        if self.thread_id is not None and self.client_ref is not None:
            raise ValueError("client_ref must not come with thread_id")
        return self

    def new_messages(self) -> tuple[NewMessage, ...]:
        return tuple(message.to_domain() for message in self.messages)

    def outputs(self) -> tuple[CallOutput, ...]:
        """Where nothing but those is sent."""
        if any(message.role is not Role.TOOL for message in self.messages):
            return ()
        results = (part for message in self.messages for part in message.content if isinstance(part, ToolResultIn))
        return tuple(CallOutput(each.call_id, each.content, each.is_error) for each in results)


class RetryRequest(Strict):
    """May be left out altogether."""

    stream: Stream = None
    model: ModelName | None = None


class EditRequest(Generated):
    """What a message of the user's says instead."""

    content: Annotated[str, Field(min_length=1)]
    model: ModelName | None = None
    stream: Stream = None


class OutputIn(Strict):
    """What came of a call that the client carried out: text."""

    call_id: CallId
    content: str
    is_error: StrictBool = False


class DecisionIn(Strict):
    """Whether a call may be made; `reason` is told to the model, where it may not."""

    call_id: CallId
    approve: StrictBool
    reason: Annotated[str, Field(max_length=MAX_REASON_CHARS)] | None = None


class ToolOutputsRequest(Strict):
    """All calls that the thread's turn waits for, each once."""

    outputs: Annotated[list[OutputIn], Field(max_length=MAX_ANSWERS)] = Field(default_factory=list)
    decisions: Annotated[list[DecisionIn], Field(max_length=MAX_ANSWERS)] = Field(default_factory=list)
    stream: Stream = None

    def answers(self) -> tuple[Answer, ...]:
        outputs = (CallOutput(each.call_id, each.content, each.is_error) for each in self.outputs)
        decisions = (CallDecision(each.call_id, each.approve, each.reason) for each in self.decisions)
        return (*outputs, *decisions)


class ThreadPatch(Strict):
    """What is absent or null stays as it is; `metadata` replaces all of it."""

    title: Title | None = None
    metadata: Metadata | None = None


class BroadcastRequest(Strict):
    text: Annotated[str, Field(min_length=1, max_length=MAX_ANNOUNCEMENT_CHARS)]


# -- responses -----------------------------------------------------------------------------------------------------


class ChatResponse(Described):
    """`response` is all text of `parts`."""

    response: str
    parts: list[PartOut]
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
    """`text` and `parts` are what is there so far."""

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
    parts: list[PartOut]


class ThreadOut(Described):
    id: str
    client_ref: str | None
    title: str
    created_at: Time
    updated_at: Time
    metadata: dict[str, Any]


class MessageOut(Described):
    """A message of the user's is `incomplete` where the provider refused it: it is not sent again, but by a retry."""

    id: str
    role: Role
    content: str
    parts: list[PartOut]
    status: MessageStatus
    created_at: Time
    run_id: str | None
    metadata: dict[str, Any]


class ToolOut(Described):
    """`parameters` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]
    needs_approval: bool


class ToolsOut(Described):
    data: list[ToolOut]


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
