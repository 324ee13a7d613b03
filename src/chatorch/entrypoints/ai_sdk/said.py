"""What the client is told of parts that it can only be given whole: calls, their results, and data."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from chatorch.domain.model.calls import STAND_INS
from chatorch.domain.model.parts import Part
from chatorch.domain.model.tools import ERRORS, CallStatus, CarriedOutBy

Json = dict[str, Any]

NOT_EXECUTED = "This call was not carried out."
UNKNOWN = "It is not known whether this call was carried out."
NOT_WHOLE = "The arguments of this call are not JSON."
_FAILED = frozenset(status.value for status in ERRORS)
_THEY_SAY = f"{STAND_INS[CallStatus.DENIED]} They say: "


class Call(NamedTuple):
    """A call that was told: the model's id for it, the client's, and whether it still has no result.

    `by` and `asks` say who carries it out, and that a person is asked first. `arguments` are those of a client's own
    that it has not been told to carry out. `earlier`: it stands in an earlier message of the turn.
    """

    call_id: str
    told_as: str
    name: str = ""
    by: str = ""
    asks: bool = False
    waits: bool = True
    arguments: str = ""
    earlier: bool = False

    @property
    def is_clients(self) -> bool:
        return self.by == CarriedOutBy.CLIENT

    @property
    def about(self) -> Json:
        """What its chunks have in common. A client takes for its own what no provider carries out: one of ours that
        needs approval is among them, for else it would not wait for that."""
        ours = {} if self.is_clients else {"dynamic": True}
        executed = not (self.is_clients or self.asks)
        return {"toolCallId": self.told_as, "toolName": self.name, **ours, "providerExecuted": executed}


Calls = tuple[Call, ...]


def begun(calls: Calls, head: Mapping[str, Any], index: int) -> Calls:
    """With one more. The client knows a call by its id alone, and a model may use one twice."""
    call_id = str(head.get("id", ""))
    taken = {call.told_as for call in calls}
    told_as = call_id if call_id and call_id not in taken else f"{call_id or 'call'}-{index}"
    while told_as in taken:
        told_as += "-"
    by, asks = str(head.get("by", "")), bool(head.get("needs_approval"))
    return (*calls, Call(call_id, told_as, str(head.get("name", "")), by, asks))


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


def denied(result: Part) -> bool:
    return result.head.get("status") == CallStatus.DENIED


def reason_of(refusal: Part) -> str | None:
    """What the user said to it."""
    return refusal.body.removeprefix(_THEY_SAY) if refusal.body.startswith(_THEY_SAY) else None


def end_of(call: Call, *, complete: bool) -> str:
    """Why a call is over that nobody said anything to; empty where it waits for the client still."""
    if not call.by or ((call.is_clients or call.asks) and not complete and not call.earlier):
        return NOT_EXECUTED
    return "" if (call.is_clients or call.asks) and not call.earlier else UNKNOWN


def value_of(text: str) -> tuple[Any, bool]:
    """What a JSON text says, and True; the text itself, and False, where it is none that the client would take.

    Its parser gives up the whole answer for an object that could change JavaScript's own ones.
    """
    try:
        value = msgspec.json.decode(text or "{}")
    except (ValueError, RecursionError):
        return text, False
    return (value, True) if _harmless(value) else (text, False)


def output_of(text: str) -> Any:
    """What a tool said: JSON where it is that, else the text."""
    return value_of(text)[0] if text else ""


def text_of(output: Any) -> str:
    """Of a client's output, so that `output_of` gives it back: a text that could be taken for JSON is quoted."""
    if isinstance(output, str) and output_of(output) == output:
        return output
    return msgspec.json.encode(output).decode()


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


def source_part(head: Mapping[str, Any], index: int) -> Json:
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


def file_part(head: Mapping[str, Any]) -> Json:
    """By its address here; also as a chunk."""
    media_type = str(head.get("media_type") or "application/octet-stream")
    return {"type": "file", "mediaType": media_type, "url": f"/api/files/{head.get('file_id', '')}/content"}


def data_part(head: Mapping[str, Any], body: Sequence[str], index: int, calls: Calls = ()) -> Json | None:
    """Also as a chunk; None where it holds nothing that the client would take. How a call gets on has that call's id,
    so that the newest takes the place of what was told before."""
    data, taken = value_of("".join(body))
    call_id = head.get("call_id")
    told_as = next((call.told_as for call in reversed(calls) if call.by and call.call_id == call_id), str(index))
    return {"type": f"data-{head.get('name', '')}", "id": told_as, "data": data} if taken else None
