"""What the client is told of parts that it can only be given whole: calls, their results, and data."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from chatorch.domain.model.parts import Part

NOT_EXECUTED = "This call was not carried out."
NOT_WHOLE = "The arguments of this call are not JSON."
_FAILED = frozenset({"failed", "denied", "unknown", "not_executed"})


class Call(NamedTuple):
    """A call that was told: the model's id for it, the client's, and whether it still has no result."""

    call_id: str
    told_as: str
    waits: bool = True


Calls = tuple[Call, ...]


def begun(calls: Calls, head: Mapping[str, Any], index: int) -> Calls:
    """With one more. The client knows a call by its id alone, and a model may use one twice."""
    call_id = str(head.get("id", ""))
    taken = {call.told_as for call in calls}
    told_as = call_id if call_id and call_id not in taken else f"{call_id or 'call'}-{index}"
    while told_as in taken:
        told_as += "-"
    return (*calls, Call(call_id, told_as))


def answered(calls: Calls, result: Part) -> tuple[Calls, Call | None]:
    """The calls, and the one whose result this is: the latest of that id that has none; None where none waits."""
    wanted = result.head.get("call_id")
    for at in range(len(calls) - 1, -1, -1):
        call = calls[at]
        if call.waits and call.call_id == wanted:
            return settled(calls, at), call
    return calls, None


def settled(calls: Calls, at: int) -> Calls:
    """With the one at this place waiting no more."""
    return (*calls[:at], calls[at]._replace(waits=False), *calls[at + 1 :])


def failed(result: Part) -> bool:
    return result.head.get("status") in _FAILED


def value_of(text: str) -> tuple[Any, bool]:
    """What a JSON text says, and True; the text itself, and False, where it is none that the client would take.

    Its parser gives up the whole answer for an object that could change JavaScript's own ones.
    """
    try:
        value = msgspec.json.decode(text or "{}")
    except (ValueError, RecursionError):
        return text, False
    return (value, True) if _harmless(value) else (text, False)


def _harmless(value: Any) -> bool:
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            constructor = item.get("constructor")
            if "__proto__" in item or (isinstance(constructor, dict) and "prototype" in constructor):
                return False
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return True


def source_part(head: Mapping[str, Any], index: int) -> dict[str, Any]:
    """A page that has an address, else a document; also as a chunk."""
    title = head.get("title")
    if url := head.get("url"):
        named = {"title": title} if isinstance(title, str) else {}
        return {"type": "source-url", "sourceId": f"source-{index}", "url": str(url), **named}
    return {
        "type": "source-document",
        "sourceId": f"source-{index}",
        "mediaType": "application/octet-stream",
        "title": str(title or head.get("file_id") or ""),
    }


def file_part(head: Mapping[str, Any]) -> dict[str, Any]:
    """By its address here; also as a chunk."""
    media_type = str(head.get("media_type") or "application/octet-stream")
    return {"type": "file", "mediaType": media_type, "url": f"/api/files/{head.get('file_id', '')}/content"}


def data_part(head: Mapping[str, Any], body: Sequence[str], index: int) -> dict[str, Any] | None:
    """Also as a chunk; None where it holds nothing that the client would take."""
    data, taken = value_of("".join(body))
    return {"type": f"data-{head.get('name', '')}", "id": str(index), "data": data} if taken else None
