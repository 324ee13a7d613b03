"""A call as an item: of ours a workflow, or a card to decide on where it needs approval; of the client's a call."""

from itertools import chain
from typing import Any

import msgspec

from chatorch.domain.model.call_answers import CallDecision
from chatorch.domain.model.calls import offered
from chatorch.domain.model.parts import Part
from chatorch.domain.model.tools import CallStatus, CarriedOutBy
from chatorch.entrypoints.chatkit.call_states import CallState
from chatorch.entrypoints.chatkit.part_items import Json, part_id

APPROVE, DENY = "chatorch.tool.approve", "chatorch.tool.deny"
"""What the buttons ask for, with ``{"message_id", "call_id"}``."""

MAX_DEPTH = 100
"""Of arguments. The package can tell nothing that is nested some 250 levels deep, and then not the thread either."""
SHORT_CHARS = 300
"""So much is shown of what one of our tools said: it is the model's to tell of it."""
MOST_PRETTY = 10

_WORDS = {
    CallStatus.PENDING: "Needs your approval",
    CallStatus.RUNNING: "Approved, running",
    CallStatus.COMPLETED: "Approved, done",
    CallStatus.FAILED: "Approved, failed",
    CallStatus.DENIED: "Denied",
    CallStatus.NOT_EXECUTED: "Not called",
    CallStatus.UNKNOWN: "Approved, and nobody knows how it went",
}
_ICONS = {CallStatus.COMPLETED: "check-circle", CallStatus.RUNNING: "play"}
_FAILED = {
    CallStatus.FAILED: "failed",
    CallStatus.NOT_EXECUTED: "not called",
    CallStatus.UNKNOWN: "nobody knows how it went",
}


def call_item(message_id: str, index: int, call: Part, state: CallState) -> Json:
    if is_workflow(call):
        return _workflow_item(message_id, index, call, state)
    make = _approval_item if is_ours(call) else _client_item
    return make(message_id, index, call, state)


def is_ours(call: Part) -> bool:
    return offered(call) and call.head["by"] == CarriedOutBy.SERVER


def is_workflow(call: Part) -> bool:
    """One that is made without asking anybody."""
    return is_ours(call) and not call.head.get("needs_approval")


def call_task(call: Part, state: CallState) -> Json:
    """Of the workflow that stands for a call."""
    return {
        "type": "custom",
        "status_indicator": "complete" if state.settled else "loading",
        "title": _title(call, state),
        "icon": None,
        "content": _short(state),
    }


def progress_text(state: CallState) -> Json:
    """Of the card that stands for a call as long as it runs; named, so that it can change by itself."""
    return {**_text(_short(state) or "", size="sm", color="secondary"), "id": "progress"}


def _client_item(message_id: str, index: int, call: Part, state: CallState) -> Json:
    """`pending` only where an answer is taken now: a page carries it out, and answers. So never what nobody offered."""
    output: Json = {"status": state.status.value}
    return {
        "type": "client_tool_call",
        "id": part_id(message_id, index),
        "status": "pending" if state.asks else "completed",
        "call_id": call.head.get("id") or part_id(message_id, index),
        "name": call.head.get("name") or "",
        "arguments": _arguments(call.body),
        "output": None if state.asks else output if state.said is None else {**output, "content": state.said},
    }


def _workflow_item(message_id: str, index: int, call: Part, state: CallState) -> Json:
    summary = {"title": _title(call, state), "icon": None}
    workflow = {"type": "custom", "tasks": [call_task(call, state)], "summary": summary, "expanded": False}
    return {"type": "workflow", "id": part_id(message_id, index), "workflow": workflow}


def _approval_item(message_id: str, index: int, call: Part, state: CallState) -> Json:
    """All of the arguments are shown, since the user is to answer for them; and as text, whatever they say."""
    children = [_text(str(call.head.get("name") or ""), weight="semibold")]
    children.append(_text(_pretty(call.body), size="sm"))
    if state.asks:
        asked = {"message_id": message_id, "call_id": call.head["id"]}
        buttons = [_button("Approve", "primary", APPROVE, asked), _button("Deny", "secondary", DENY, asked)]
        children.append({"type": "Row", "children": buttons})
    elif state.status is CallStatus.RUNNING:
        children.append(progress_text(state))
    elif said := _short(state):
        children.append(_text(said, size="sm", color="secondary"))
    card = {"type": "Card", "size": "md", "status": _card_status(state), "children": children}
    return {"type": "widget", "id": part_id(message_id, index), "widget": card, "copy_text": None}


def _card_status(state: CallState) -> Json:
    text = _WORDS[state.status]
    if isinstance(state.kept, CallDecision):
        text = f"{'Approved' if state.kept.approve else 'Denied'}, once the other calls are decided on"
    return {"text": text, "icon": _ICONS.get(state.status, "info")}


def _button(label: str, style: str, action: str, payload: Json) -> Json:
    on_click = {
        "type": action,
        "payload": payload,
        "handler": "server",
        "loadingBehavior": "container",
        "streaming": True,
    }
    return {"type": "Button", "label": label, "style": style, "onClickAction": on_click}


def _text(value: str, **looks: str) -> Json:
    return {"type": "Text", "value": value, **looks}


def _title(call: Part, state: CallState) -> str:
    name = str(call.head.get("name") or "")
    return f"{name}: {_FAILED[state.status]}" if state.status in _FAILED else name


def _short(state: CallState) -> str | None:
    """What a tool said for the model's ears only, and not for the user's, is not shown."""
    if state.said is None or state.status in (CallStatus.DENIED, CallStatus.UNKNOWN):
        return None
    said = _progress(state.said) if state.status is CallStatus.RUNNING else state.said
    return said if len(said) <= SHORT_CHARS else said[:SHORT_CHARS] + "…"


def _progress(data: str) -> str:
    """A text as it is, and anything else as JSON."""
    try:
        value = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return data
    return value if isinstance(value, str) else data


def _pretty(arguments: str) -> str:
    """What cannot be seen is written as JSON can write it: nobody approves of more than they see."""
    try:
        text = msgspec.json.format(arguments, indent=2) if arguments.strip() else "{}"
    except (ValueError, RecursionError):
        text = arguments
    text = text if len(text) <= MOST_PRETTY * max(len(arguments), 10) else arguments  # much of it would be indents
    return "".join(char if char == "\n" or char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def _arguments(text: str) -> dict[str, Any]:
    """ChatKit has an object; what is none, or cannot be told again, is kept as text."""
    try:
        value = msgspec.json.decode(text) if text.strip() else {}
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) and _flat(value) else {"arguments": text}


def _flat(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        if not inner:
            return True
        level = list(chain.from_iterable(inner))
    return False
