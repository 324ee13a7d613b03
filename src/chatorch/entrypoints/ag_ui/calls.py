"""Calls of tools as AG-UI has them: how they are named, where their results stand, and what a run waits for.

A call has the id of its part; so has a result that stands in a message of the assistant's. A result that somebody else
says has the id that its client gave it, else one that is made of its call's. So ids are the same live and from storage.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from chatorch.domain.model.parts import Part
from chatorch.domain.model.tools import CallStatus, CarriedOutBy
from chatorch.entrypoints.ag_ui.events import Json, frame, ours

RESULT = "result"

CallNames = Mapping[str, str]
"""What calls of one turn are called here, by what their models call them."""

DECISION: Json = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["approved"],
    "additionalProperties": False,
}
"""The payload that an interrupt is answered with, as a JSON schema. `reason` is for the model."""


class Waiting(NamedTuple):
    """A call that the turn waits for, and its id here."""

    call_id: str
    call: Part

    @property
    def is_clients(self) -> bool:
        """Whether its client carries it out; else it is to be approved of."""
        return self.call.head.get("by") == CarriedOutBy.CLIENT


class Earlier(NamedTuple):
    """Calls of a turn before the run that goes on with it: what they are called, and those that this run makes."""

    names: CallNames = MappingProxyType({})
    approved: tuple[Waiting, ...] = ()


NOTHING_EARLIER = Earlier()


def result_id(call_id: str) -> str:
    return f"{call_id}.{RESULT}"


def result_members(call_id: str, content: str, status: str | None) -> Json:
    """What is said of a call's result, in an event and in a message. `call_id` is the call's own here."""
    return {"toolCallId": call_id, "content": content, "role": "tool", **ours(status=status)}


def stand_in(call_id: str, status: CallStatus) -> Json:
    """What is said of a call that nothing else is known of. A client would else answer it itself."""
    content = f'{{"status":"{status}"}}'
    return {"messageId": result_id(call_id), **result_members(call_id, content, status)}


def told_result(members: Json) -> bytes:
    return frame("TOOL_CALL_RESULT", **members)


def as_message(members: Json) -> Json:
    """Of the members of an event."""
    return {"id": members["messageId"], **{name: said for name, said in members.items() if name != "messageId"}}


def settled(told: Iterable[Json]) -> list[Json]:
    """Messages in the order in which they were told, each result behind the one with its call, as clients place it: at
    the end where there is none."""
    rows: list[list[Json]] = [[]]  # a message, and the results that stand behind it
    row_of: dict[str, list[Json]] = {}
    for message in told:
        if message["role"] == "tool":
            row_of.get(message["toolCallId"], rows[-1]).append(message)
            continue
        rows.append([message])
        for call in message.get("toolCalls", ()):
            row_of.setdefault(call["id"], rows[-1])
    return list(chain.from_iterable(rows))


def outcome_of(waiting: Sequence[Waiting]) -> Json:
    """Members of RUN_FINISHED: what is asked of its client. It says nothing where nobody is waited for."""
    interrupts = [_interrupt(each) for each in waiting if not each.is_clients]
    if interrupts:
        return {"outcome": {"type": "interrupt", "interrupts": interrupts}}
    if waiting:
        return {"outcome": {"type": "success", "pendingToolCallIds": [each.call_id for each in waiting]}}
    return {}


def _interrupt(waiting: Waiting) -> Json:
    return {
        "id": waiting.call_id,
        "reason": "tool_call",
        "message": f"May {waiting.call.head.get('name', 'this tool')} be called?",
        "toolCallId": waiting.call_id,
        "responseSchema": DECISION,
    }
