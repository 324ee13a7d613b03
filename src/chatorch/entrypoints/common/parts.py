"""The parts of a message as JSON: the same in answers, in lists, and in events."""

from collections.abc import Mapping
from typing import Any

import msgspec

from chatorch.domain.model.content import Content
from chatorch.domain.model.parts import Facts, Part, PartKind

Json = dict[str, Any]

NOT_EXECUTED = "not_executed"
PENDING = "pending"
_BODIES = {
    PartKind.TEXT: "text",
    PartKind.REASONING: "text",
    PartKind.TOOL_CALL: "arguments",
    PartKind.TOOL_RESULT: "content",
}
_DETAILS = "details"
"""A provider's own go back to the provider, and to nobody else."""

_FAILED = frozenset({"failed", "denied", "unknown"})


def parts_view(content: Content, *, over: bool) -> list[Json]:
    """All parts, without an empty first one; each with its index where there are several.

    `over`: the run has ended, so nobody carries out a call that is not whole.
    """
    if content.text_only:
        return [{"type": "text", "text": content.text}] if content.text else []
    statuses = _statuses(content)
    return [{"index": index, **_whole(part, statuses, over=over)} for index, part in content.shown()]


def head_view(part: Part) -> Json:
    """What is known of a part when it begins."""
    return {"type": part.kind.value, **_known(part.kind, part.head)}


def ended_view(part: Part) -> Json:
    """All of a part but its body, which has been told."""
    view = {**head_view(part), **_known(part.kind, part.result)}
    return {**view, **_call_state(NOT_EXECUTED)} if part.kind is PartKind.TOOL_CALL else view


def _whole(part: Part, statuses: Mapping[str, str], *, over: bool) -> Json:
    view = {**head_view(part), **_known(part.kind, part.result)}
    if name := _BODIES.get(part.kind):
        view[name] = part.body
    elif part.kind is PartKind.DATA:
        view["data"] = data_of(part)
    if part.kind is PartKind.TOOL_CALL:
        view |= _call_state(statuses.get(view.get("id", ""), NOT_EXECUTED if part.closed or over else PENDING))
    return view


def _known(kind: PartKind, facts: Facts) -> Json:
    """Of a head or a result what clients are told."""
    match kind:
        case PartKind.TOOL_RESULT:
            known = {"call_id": facts.get("call_id")} if "call_id" in facts else {}
            return {**known, "is_error": facts["status"] in _FAILED} if "status" in facts else known
        case PartKind.REASONING:
            return {}
        case _:
            return {name: said for name, said in facts.items() if name != _DETAILS}


def _call_state(status: str) -> Json:
    return {"status": status, "needs_approval": False}


def _statuses(content: Content) -> dict[str, str]:
    """How calls went, by their ids: the results say so."""
    results = (part.head for part in content.parts if part.kind is PartKind.TOOL_RESULT)
    return {head["call_id"]: head["status"] for head in results if "call_id" in head and "status" in head}


def data_of(part: Part) -> Any:
    """What it holds; None as long as it is not whole."""
    try:
        return msgspec.json.decode(part.body)
    except (ValueError, RecursionError):
        return None
