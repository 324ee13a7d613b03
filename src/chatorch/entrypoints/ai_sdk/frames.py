"""What goes through a socket of `WebSocketChatTransport`: a client's requests, and the answers that are no chunks."""

import json
from typing import Annotated, Any, Literal

import msgspec
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from chatorch.domain.model.errors import ChatorchError, InvalidField, InvalidToken
from chatorch.entrypoints.ai_sdk.schemas import ChatBody, OwnId
from chatorch.entrypoints.common.dependencies import MAX_KEY_CHARS
from chatorch.entrypoints.common.failures import INTERNAL_DETAIL, domain_failure
from chatorch.entrypoints.common.field_paths import Parameters
from chatorch.entrypoints.common.fields import ClientRef
from chatorch.entrypoints.common.principal import bearer_token
from chatorch.entrypoints.common.strict_json import parse_json

MAX_REQUEST_ID_CHARS = 255
MAX_MEMBERS = 64
MAX_SEQUENCE = 2**52
"""There are as many again that JavaScript can count to."""

RequestId = Annotated[str, Field(min_length=1, max_length=MAX_REQUEST_ID_CHARS)]

_encode = msgspec.json.Encoder().encode


def _few(members: Any) -> Any:
    """Before anything looks at each of them."""
    if isinstance(members, dict) and len(members) > MAX_MEMBERS:
        raise ValueError(f"has more than {MAX_MEMBERS} members")
    return members


class _Frame(BaseModel):
    """What a later client may put beside its members is left alone, as with the client's own check of a frame."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    request_id: RequestId = Field(alias="requestId")


class Abort(_Frame):
    type: Literal["abort"]


class _Asking(_Frame):
    """`headers` stand for those of a request: a page cannot set any of a socket's."""

    id: ClientRef
    headers: Annotated[dict[str, str], BeforeValidator(_few)] = Field(default_factory=dict)
    body: Annotated[dict[str, Any], BeforeValidator(_few)] = Field(default_factory=dict)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers.items() if key.lower() == name), None)

    @property
    def token(self) -> str | None:
        """Raises `InvalidToken` for an ``Authorization`` that is something else."""
        given = self.header("authorization")
        return None if given is None else bearer_token(given)


class Send(_Asking):
    type: Literal["send"]
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    message_id: OwnId | None = Field(default=None, alias="messageId")
    messages: list[dict[str, Any]]

    def chat(self) -> ChatBody:
        """As the other transport sends it. Raises `InvalidField`."""
        told = {"id": self.id, "messages": self.messages, "trigger": self.trigger, "messageId": self.message_id}
        try:
            return ChatBody.model_validate({**self.body, **told})
        except ValidationError as error:
            raise _first(error.errors(include_url=False, include_input=False)) from None

    def key(self) -> str | None:
        """Raises `InvalidField`."""
        given = self.header("idempotency-key")
        if given is not None and not (0 < len(given) <= MAX_KEY_CHARS and given.isascii() and given.isprintable()):
            raise InvalidField("headers.Idempotency-Key", f"must be 1 to {MAX_KEY_CHARS} printable ASCII characters")
        return given


class Resume(_Asking):
    """Without a `last_sequence` all is told, as the client's own transport wants it; with one all is told behind that
    number, the step anew."""

    type: Literal["resume"]
    last_sequence: Annotated[int, Field(strict=True, ge=0, le=MAX_SEQUENCE)] | None = Field(
        default=None, alias="lastSequence"
    )


Frame = Send | Resume | Abort

KINDS: dict[str, type[Frame]] = {"send": Send, "resume": Resume, "abort": Abort}
FIELDS = Parameters.of(ChatBody, *KINDS.values(), elsewhere=("v",))


class Unanswerable(Exception):
    """No answer could name the request that this is."""


class Refused(Exception):
    """`error` says what is wrong with the request `request_id`."""

    def __init__(self, request_id: str, error: ChatorchError) -> None:
        self.request_id = request_id
        self.error = error


def read_frame(text: str) -> Frame:
    """Raises `Unanswerable`, `Refused`; neither repeats anything of the frame but its id."""
    try:
        value = parse_json(text.encode())
    except RequestValidationError as error:
        found = _first(error.errors())
        raise (Refused(request_id, found) if (request_id := _id_in(text)) else Unanswerable(found.detail)) from None
    request_id = _id_of(value)
    if request_id is None:
        raise Unanswerable("requestId: must be there")
    kind = value.get("type")
    known = KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise Refused(request_id, InvalidField("type", f"must be one of {', '.join(KINDS)}"))
    try:
        return known.model_validate(value)
    except ValidationError as error:
        found = _first(error.errors(include_url=False, include_input=False))
        raise Refused(request_id, found) from None


def _id_of(value: Any) -> str | None:
    request_id = value.get("requestId") if isinstance(value, dict) else None
    sane = isinstance(request_id, str) and 0 < len(request_id) <= MAX_REQUEST_ID_CHARS and request_id.isprintable()
    return request_id if sane else None


def _id_in(text: str) -> str | None:
    """Of a frame that cannot be taken, such as one with half an emoji in a message: others share its connection."""
    try:
        return _id_of(json.loads(text))
    except (ValueError, RecursionError):
        return None


def token_of(frame: Frame) -> str | None:
    """Raises `InvalidToken`."""
    if isinstance(frame, Abort):
        raise InvalidToken  # there is nothing yet that it could be about
    return frame.token


def _first(errors: Any) -> InvalidField:
    found = FIELDS.error(errors[0])
    return InvalidField(found["field"], found["problem"])


def started(request_id: str) -> bytes:
    return _encode({"type": "start", "requestId": request_id})


def ended(request_id: str) -> bytes:
    return _encode({"type": "end", "requestId": request_id})


def nothing_live(request_id: str) -> bytes:
    return _encode({"type": "no-active", "requestId": request_id})


def failed(request_id: str, error: ChatorchError | None) -> bytes:
    """In words, as over HTTP. None: something unexpected."""
    text = INTERNAL_DETAIL if error is None else domain_failure(error).detail
    return _encode({"type": "error", "requestId": request_id, "errorText": text})
