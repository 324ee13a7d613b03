"""What goes through a socket: the client's frames checked like request bodies, the server's made by hand."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError

from chatorch.domain.model.content import PartDelta
from chatorch.domain.model.conversation import NewMessage, Role, RunId
from chatorch.domain.model.errors import ChatorchError, InvalidField, InvalidRequest
from chatorch.domain.model.presence import Announcement, PresenceChanged, PresenceEvent, RunBegan
from chatorch.domain.model.run import Run, RunEvent
from chatorch.entrypoints.common.dependencies import MAX_KEY_CHARS, MAX_POSITION, PRINTABLE_ASCII
from chatorch.entrypoints.common.envelope import delta_form, envelope, quoted
from chatorch.entrypoints.common.event_encoder import EventEncoder
from chatorch.entrypoints.common.field_paths import FieldNames
from chatorch.entrypoints.common.fields import MAX_MESSAGES, ChatMessageIn, Id, ModelName, Strict
from chatorch.entrypoints.common.setting_names import detail_of
from chatorch.entrypoints.common.strict_json import parse_json
from chatorch.entrypoints.common.views import announcement_view

FrameId = Annotated[str, Field(min_length=1, max_length=MAX_KEY_CHARS, pattern=PRINTABLE_ASCII)]

_encode = msgspec.json.Encoder().encode


# -- the client's --------------------------------------------------------------------------------------------------


class Auth(Strict):
    type: Literal["auth"]
    id: FrameId | None = None
    token: Annotated[str, Field(min_length=1)]


class Ping(Strict):
    type: Literal["ping"]
    id: FrameId | None = None


class ChatSend(Strict):
    """`id` is also the idempotency key. `content` stands for one message of the user's."""

    type: Literal["chat.send"]
    id: FrameId
    messages: Annotated[list[ChatMessageIn], Field(min_length=1, max_length=MAX_MESSAGES)] | None = None
    content: Annotated[str, Field(min_length=1)] | None = None
    thread_id: Id | None = None
    model: ModelName | None = None

    def field(self, path: str) -> str:
        """Where in this frame stands what is called `path` in its messages."""
        return path if self.content is None else path.removeprefix("messages.0.")

    def new_messages(self) -> tuple[NewMessage, ...]:
        """Raises `InvalidField` unless there is one of the two."""
        if (self.messages is None) == (self.content is None):
            raise InvalidField("messages", "must be there, or content must, and not both")
        if self.content is not None:
            return (NewMessage(Role.USER, self.content),)
        return tuple(message.to_domain() for message in self.messages or ())


class RunFollow(Strict):
    type: Literal["run.follow"]
    id: FrameId
    run_id: Id
    after: Annotated[int, Field(strict=True, ge=0, le=MAX_POSITION)] = 0


class RunCancel(Strict):
    type: Literal["run.cancel"]
    id: FrameId
    run_id: Id


ClientFrame = Auth | Ping | ChatSend | RunFollow | RunCancel

KINDS: dict[str, type[ClientFrame]] = {
    "auth": Auth,
    "ping": Ping,
    "chat.send": ChatSend,
    "run.follow": RunFollow,
    "run.cancel": RunCancel,
}
FIELDS = FieldNames.of(*KINDS.values(), elsewhere=("stream", "text", "title", "user_id"))


class FrameRefused(Exception):
    """`error` says what is wrong with a frame, `id` whose answer that is where the frame said so."""

    def __init__(self, error: InvalidRequest, frame_id: str | None) -> None:
        self.error = error
        self.id = frame_id


def read_frame(text: str) -> ClientFrame:
    """Raises `FrameRefused`, and repeats nothing of the frame but its id."""
    try:
        value = parse_json(text.encode())
    except RequestValidationError as error:
        raise FrameRefused(_first(error.errors()), None) from None
    if not isinstance(value, dict):
        raise FrameRefused(InvalidField("frame", "must be an object"), None)
    frame_id = _id_of(value)
    kind = value.get("type")
    known = KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise FrameRefused(InvalidField("type", f"must be one of {', '.join(KINDS)}"), frame_id)
    try:
        return known.model_validate(value)
    except ValidationError as error:
        raise FrameRefused(_first(error.errors(include_url=False, include_input=False)), frame_id) from None


def _first(errors: Any) -> InvalidField:
    found = FIELDS.error(errors[0])
    return InvalidField("frame" if found["field"] == "body" else found["field"], found["problem"])


def _id_of(value: dict[str, Any]) -> str | None:
    given = value.get("id")
    sane = isinstance(given, str) and 0 < len(given) <= MAX_KEY_CHARS and given.isascii() and given.isprintable()
    return given if sane else None


# -- the server's --------------------------------------------------------------------------------------------------


class FrameEncoder(EventEncoder):
    """A run's events as frames. WebSocket has pings of its own, and the connection goes on after a run."""

    def __init__(self, run_id: RunId) -> None:
        self._run_id = run_id
        self._delta = delta_form(run_id)

    def encode(self, event: RunEvent) -> bytes:
        if type(event) is PartDelta and not event.index:  # as nearly always
            return self._delta % (event.seq, quoted(event.text))
        return envelope(self._run_id, event)

    def keep_alive(self) -> bytes:
        return b""

    def end(self) -> bytes:
        return b""


def ack(frame_id: str | None, run: Run | None = None, run_id: RunId | None = None) -> bytes:
    if run is not None:
        return _frame("ack", frame_id, run_id=run.id, thread_id=run.thread_id)
    return _frame("ack", frame_id, run_id=run_id)


def pong(frame_id: str | None) -> bytes:
    return _frame("pong", frame_id)


def error_frame(frame_id: str | None, error: ChatorchError) -> bytes:
    return _frame("error", frame_id, code=error.code, detail=detail_of(error), run_id=getattr(error, "run_id", None))


def refused_frame(frame_id: str | None, code: str, detail: str) -> bytes:
    return _frame("error", frame_id, code=code, detail=detail)


def presence_event_frame(event: PresenceEvent) -> bytes:
    match event:
        case RunBegan():
            return envelope(event.run_id, event.started)
        case PresenceChanged():
            return _frame("presence", None, client_id=event.client_id, status=event.status)
        case Announcement():
            return _frame("announcement", None, **announcement_view(event))


def _frame(kind: str, frame_id: str | None, **members: object) -> bytes:
    """Members that are None are left out."""
    body = {"type": kind, "id": frame_id, **members}
    return _encode({name: value for name, value in body.items() if value is not None})
