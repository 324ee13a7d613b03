"""Ids as OpenAI's clients know them, made of ours and back: no table says which is which.

``resp_…`` is the run ``run_…``, ``conv_…`` the thread ``thr_…``. What a run says is items: ``rs_…_1`` is what begins
with its part 1. Any other message is an item by its own id, ``msg_…``, and so are its calls and results, with the index
of their part: ``fco_…_1``.
"""

import re
from dataclasses import dataclass

from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.parts import PartKind

ITEM_PREFIXES = {PartKind.TEXT: "msg", PartKind.REASONING: "rs"}
"""Of what is text; a source is told in the message that it stands in."""

FUNCTION_CALL, FUNCTION_CALL_OUTPUT = "fc", "fco"
MCP_CALL, APPROVAL_REQUEST, APPROVAL_RESPONSE = "mcp", "mcpr", "mcpa"
_OF_CALLS = (FUNCTION_CALL, FUNCTION_CALL_OUTPUT, MCP_CALL, APPROVAL_REQUEST, APPROVAL_RESPONSE)

_REST = "[0-9a-z]{1,64}"
_PART_ID = re.compile(rf"({'|'.join((*ITEM_PREFIXES.values(), *_OF_CALLS))})_({_REST})_([0-9]{{1,9}})")


def response_id(run_id: RunId) -> str:
    return "resp_" + _rest(run_id)


def run_id_of(given: str) -> RunId:
    """Raises `NotFound` for what cannot be one."""
    return RunId("run_" + _rest_of(given, "resp"))


def conversation_id(thread_id: ThreadId) -> str:
    return "conv_" + _rest(thread_id)


def thread_id_of(given: str) -> ThreadId:
    """Raises `NotFound` for what cannot be one."""
    return ThreadId("thr_" + _rest_of(given, "conv"))


def part_item_id(run_id: RunId, kind: PartKind, index: int) -> str:
    return item_id(ITEM_PREFIXES[kind], run_id, index)


def item_id(prefix: str, owner: RunId | MessageId, index: int) -> str:
    """`owner` is the run that says it, or the message where it is of none."""
    return f"{prefix}_{_rest(owner)}_{index}"


@dataclass(frozen=True, slots=True)
class PartOf:
    """What an item's id says that is part of what a run says, or of a message that no run wrote."""

    prefix: str
    run_id: RunId
    message_id: MessageId
    index: int


def part_of(given: str) -> PartOf | None:
    """None for what must be a message's own id, if it is one at all."""
    found = _PART_ID.fullmatch(given)
    if found is None:
        return None
    return PartOf(found[1], RunId("run_" + found[2]), MessageId("msg_" + found[2]), int(found[3]))


def _rest(id_: str) -> str:
    return id_.partition("_")[2]


def _rest_of(given: str, prefix: str) -> str:
    found = re.fullmatch(f"{prefix}_({_REST})", given)
    if found is None:
        raise NotFound
    return found[1]
