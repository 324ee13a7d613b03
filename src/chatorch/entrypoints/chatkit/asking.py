"""What the widget's requests ask of our services, checked before anything is stored or stopped for it."""

from typing import Any

import msgspec
from chatkit.actions import Action
from chatkit.types import UserMessageItem

from chatorch.domain.model.call_answers import CallDecision
from chatorch.domain.model.conversation import MessageId, ThreadId
from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.text import blank
from chatorch.domain.model.titles import title_from
from chatorch.domain.services.commands import Allotted, StartChat
from chatorch.entrypoints.chatkit.call_items import APPROVE, DENY
from chatorch.entrypoints.chatkit.items import new_message
from chatorch.entrypoints.common.fields import MAX_METADATA_BYTES, MAX_MODEL_CHARS

INPUT = "params.input"


def chat_of(message: UserMessageItem, thread_id: ThreadId | None, allotted: Allotted) -> StartChat:
    """Raises `InvalidField`."""
    if blank(text_of(message)):
        raise InvalidField(f"{INPUT}.content", "must have a text")
    beside = message.model_dump(mode="json", exclude={"content": {"__all__": {"text"}}, "quoted_text": True})
    if len(msgspec.json.encode(beside)) > MAX_METADATA_BYTES:
        raise InvalidField(f"{INPUT}.content", f"must be at most {MAX_METADATA_BYTES} bytes of JSON beside its text")
    return StartChat(
        messages=(new_message(message),),
        thread_id=thread_id,
        model=model_of(message),
        title=title_of(message),
        allotted=allotted,
    )


def title_of(message: UserMessageItem) -> str:
    """Of a thread that begins with it; what is quoted is not its subject."""
    return title_from(text_of(message))


def text_of(message: UserMessageItem) -> str:
    return "".join(part.text for part in message.content)


def model_of(message: UserMessageItem) -> str | None:
    model = message.inference_options.model
    if model is not None and not 1 <= len(model) <= MAX_MODEL_CHARS:
        raise InvalidField(f"{INPUT}.inference_options.model", f"must be 1 to {MAX_MODEL_CHARS} characters")
    return model


def decision_of(action: Action[str, Any]) -> tuple[MessageId, CallDecision] | None:
    """What a button of ours says, and of which message; None for another action. Raises `InvalidField`."""
    if action.type not in (APPROVE, DENY):
        return None
    match action.payload:
        case {"message_id": str(message_id), "call_id": str(call_id)}:
            return MessageId(message_id), CallDecision(call_id, approve=action.type == APPROVE)
    raise InvalidField("params.action.payload", "must name a message_id and a call_id")


def output_text(result: Any) -> str:
    """What a page's tool gave back: a text as it is, and anything else as JSON."""
    return result if isinstance(result, str) else msgspec.json.encode(result).decode()
