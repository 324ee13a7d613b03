"""The parts of a message as JSON: the same in answers, in lists, and in events."""

from collections.abc import Mapping
from typing import Any

import msgspec

from chatorch.domain.model.calls import LIVE, Standing, statuses_of
from chatorch.domain.model.content import Content
from chatorch.domain.model.parts import Facts, Part, PartKind
from chatorch.domain.model.tools import ERRORS, CallStatus

Json = dict[str, Any]

NOT_EXECUTED = CallStatus.NOT_EXECUTED.value
_OF_CALLS = ("id", "name")
"""What else is known of one is ours, or its provider's."""
_BODIES = {
    PartKind.TEXT: "text",
    PartKind.REASONING: "text",
    PartKind.TOOL_CALL: "arguments",
    PartKind.TOOL_RESULT: "content",
}
_DETAILS = "details"
"""A provider's own go back to the provider, and to nobody else."""


def parts_view(content: Content, standing: Standing) -> list[Json]:
    """All parts, without an empty first one; each with its index where there are several.

    `standing`: of the message, by which it is known how its calls stand that no result in it answers.
    """
    if content.text_only:
        return [{"type": "text", "text": content.text}] if content.text else []
    statuses = statuses_of(content, standing)
    return [{"index": index, **_whole(part, statuses)} for index, part in content.shown()]


def head_view(part: Part) -> Json:
    """What is known of a part when it begins."""
    return {"type": part.kind.value, **_known(part.kind, part.head)}


def ended_view(part: Part) -> Json:
    """All of a part but its body, which has been told."""
    view = {**head_view(part), **_known(part.kind, part.result)}
    if part.kind is PartKind.TOOL_CALL:
        view |= _call_state(part, LIVE.status_of(part))
    return view


def _whole(part: Part, statuses: Mapping[str, CallStatus]) -> Json:
    view = {**head_view(part), **_known(part.kind, part.result)}
    if name := _BODIES.get(part.kind):
        view[name] = part.body
    elif part.kind is PartKind.DATA:
        view["data"] = data_of(part)
    if part.kind is PartKind.TOOL_CALL:
        view |= _call_state(part, statuses[str(part.head.get("id", ""))])
    return view


def _known(kind: PartKind, facts: Facts) -> Json:
    """Of a head or a result what clients are told."""
    match kind:
        case PartKind.TOOL_RESULT:
            known = {"call_id": facts.get("call_id")} if "call_id" in facts else {}
            return {**known, "is_error": facts["status"] in ERRORS} if "status" in facts else known
        case PartKind.REASONING:
            return {}
        case PartKind.TOOL_CALL:
            return {name: facts[name] for name in _OF_CALLS if name in facts}
        case _:
            return {name: said for name, said in facts.items() if name != _DETAILS}


def _call_state(call: Part, status: CallStatus) -> Json:
    return {"status": status.value, "needs_approval": bool(call.head.get("needs_approval"))}


def data_of(part: Part) -> Any:
    """What it holds; None as long as it is not whole."""
    try:
        return msgspec.json.decode(part.body)
    except (ValueError, RecursionError):
        return None
