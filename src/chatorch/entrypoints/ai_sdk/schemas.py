"""What the client sends, and what of it counts."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field

from chatorch.domain.model.conversation import NewMessage, Role
from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.generation import Generation
from chatorch.entrypoints.ai_sdk.messages import CLIENT_ID, MAX_CLIENT_ID_CHARS
from chatorch.entrypoints.ai_sdk.said_to_calls import NO_QUESTION, Answered, answered_by
from chatorch.entrypoints.common.fields import MAX_METADATA_BYTES, ClientRef, Described, Generated, ModelName
from chatorch.entrypoints.common.tool_fields import ToolsIn

REGENERATE = "regenerate-message"

UiMessage = dict[str, Any]


def _nothing(value: Any) -> Any:
    if value:
        raise ValueError("cannot be taken here; leave it out")
    return value


def _listed(tools: Any) -> Any:
    """assistant-ui has them by name."""
    if not isinstance(tools, dict):
        return tools
    functions = ({**about, "name": name} if isinstance(about, dict) else about for name, about in tools.items())
    return [{"type": "function", "function": function} for function in functions] or None


ClientTools = Annotated[ToolsIn | None, BeforeValidator(_listed)]
Nothing = Annotated[Any, AfterValidator(_nothing)]
"""What some transports send always, mostly empty."""
OwnId = Annotated[str, Field(min_length=1, max_length=MAX_CLIENT_ID_CHARS)]


class ChatBody(Generated):
    """`DefaultChatTransport`'s own body, and what its users add. Of the messages the last one counts, so that
    `message`, alone, is as good."""

    id: ClientRef
    messages: list[UiMessage] = Field(default_factory=list)
    message: UiMessage | None = None
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    message_id: OwnId | None = Field(default=None, alias="messageId")
    model: ModelName | None = None
    tools: ClientTools = None
    system: Nothing = None
    config: Nothing = None
    call_settings: Nothing = Field(default=None, alias="callSettings")
    metadata: Nothing = None

    def asked(self) -> "Asked | Answered":
        """Raises `InvalidField`, with the path to what cannot be taken."""
        regenerate = self.trigger == REGENERATE
        path, message = self._last(regenerate=regenerate)
        if message.get("role") == Role.ASSISTANT.value:
            return answered_by(self.id, path, message)
        new = _new_message(path, message)
        own_id = new.metadata.get(CLIENT_ID)
        about = own_id if regenerate else self.message_id
        return Asked(self.id, new, about, regenerate, self.model, self.generation)

    def _last(self, *, regenerate: bool) -> tuple[str, UiMessage]:
        if self.message is not None:
            found = [("message", self.message)]
        else:
            found = [(f"messages.{index}", message) for index, message in enumerate(self.messages)]
        while regenerate and found and found[-1][1].get("role") != Role.USER.value:
            found.pop()
        if not found or found[-1][1].get("role") not in (Role.USER.value, Role.ASSISTANT.value):
            raise InvalidField("messages", NO_QUESTION)
        return found[-1]


@dataclass(frozen=True, slots=True)
class Asked:
    """`message` goes to the thread of the name `ref`, with its client's own id of it in its metadata.

    `about` is the id of an earlier message of the user's, which this one takes the place of, or which is to be answered
    once more.
    """

    ref: str
    message: NewMessage
    about: str | None
    regenerate: bool
    model: str | None
    generation: Generation

    @property
    def key(self) -> str | None:
        """For what has no idempotency key of its own: a browser may repeat a request whose connection broke, and the
        same message, by its client's id, is not said twice. None where it is meant to be answered once more."""
        said_once = self.about is None and CLIENT_ID in self.message.metadata
        return f"ai-sdk {self.digest}" if said_once else None

    @property
    def digest(self) -> str:
        """Tells one request from another."""
        message = [self.message.content, self.message.metadata]
        asked = [self.ref, message, self.about, self.regenerate, self.model, self.generation.asked()]
        return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


def _new_message(path: str, message: UiMessage) -> NewMessage:
    parts = message.get("parts")
    if not isinstance(parts, list):
        raise InvalidField(f"{path}.parts", "must be a list of parts")
    texts = [_text(f"{path}.parts.{index}", part) for index, part in enumerate(parts)]
    given = message.get("metadata")
    metadata: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    own_id = message.get("id")
    if own_id is not None:
        if not isinstance(own_id, str) or not 1 <= len(own_id) <= MAX_CLIENT_ID_CHARS:
            raise InvalidField(f"{path}.id", f"must be 1 to {MAX_CLIENT_ID_CHARS} characters")
        metadata[CLIENT_ID] = own_id
    if len(msgspec.json.encode(metadata)) > MAX_METADATA_BYTES:
        raise InvalidField(f"{path}.metadata", f"must be at most {MAX_METADATA_BYTES} bytes of JSON")
    return NewMessage(Role.USER, "\n".join(texts), metadata=metadata)


def _text(path: str, part: Any) -> str:
    if not isinstance(part, dict) or part.get("type") != "text":
        raise InvalidField(path, "must be a part of the type text: no other can be taken yet")
    text = part.get("text")
    if not isinstance(text, str):
        raise InvalidField(f"{path}.text", "must be a text")
    return text


class UiMessageOut(Described):
    """A UI message of the AI SDK; what its parts have depends on their `type`."""

    id: str
    role: Literal["system", "user", "assistant"]
    metadata: dict[str, Any]
    parts: list[dict[str, Any]]
