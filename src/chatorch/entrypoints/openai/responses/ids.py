"""Ids as OpenAI's clients know them, made of ours and back: no table says which is which.

``resp_…`` is the run ``run_…``, ``conv_…`` the thread ``thr_…``. What a run says is items: ``rs_…_1`` is what begins
with its part 1. Any other message is an item by its own id, ``msg_…``.
"""

import re
from dataclasses import dataclass

from chatorch.domain.model.conversation import RunId, ThreadId
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.parts import PartKind

ITEM_PREFIXES = {PartKind.TEXT: "msg", PartKind.REASONING: "rs"}
"""Of what there are items; a source is told in the message that it stands in."""

_REST = "[0-9a-z]{1,64}"
_PART_ID = re.compile(rf"(?:{'|'.join(ITEM_PREFIXES.values())})_({_REST})_([0-9]{{1,9}})")


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
    return f"{ITEM_PREFIXES[kind]}_{_rest(run_id)}_{index}"


@dataclass(frozen=True, slots=True)
class PartOf:
    """What an item's id says that is part of what a run says."""

    run_id: RunId
    index: int


def part_of(given: str) -> PartOf | None:
    """None for what must be a message's own id, if it is one at all."""
    found = _PART_ID.fullmatch(given)
    return PartOf(RunId("run_" + found[1]), int(found[2])) if found else None


def _rest(id_: str) -> str:
    return id_.partition("_")[2]


def _rest_of(given: str, prefix: str) -> str:
    found = re.fullmatch(f"{prefix}_({_REST})", given)
    if found is None:
        raise NotFound
    return found[1]
