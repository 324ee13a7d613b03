"""What the user said to a call while another of the same message still waits: kept beside the message, one a call.

To the package it is hidden context, as to a version of ours that does not know of it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chatorch.domain.model.annotations import SideItem
from chatorch.domain.model.call_answers import Answer, CallDecision, CallOutput
from chatorch.domain.model.conversation import MessageId, SideItemId, ThreadId

_MARK = "chatorch.answer"


def kept_answer_id(message_id: MessageId, index: int) -> SideItemId:
    """Of the call at `index`, so that there is only one."""
    return SideItemId(f"ans_{message_id.removeprefix('msg_')}_{index}")


def kept_answer(
    thread_id: ThreadId, message_id: MessageId, index: int, answer: Answer, created_at: datetime
) -> SideItem:
    said: dict[str, Any] = {"call_id": answer.call_id}
    if isinstance(answer, CallDecision):
        said["approve"] = answer.approve
    else:
        said["output"] = answer.content
    body = {"type": "hidden_context_item", "content": {_MARK: said}}
    return SideItem(kept_answer_id(message_id, index), thread_id, body, created_at)


def is_kept_answer(item: SideItem) -> bool:
    return _said(item) is not None


def answer_in(item: SideItem) -> Answer:
    """Raises `ValueError` for another item."""
    said = _said(item)
    if said is None:
        raise ValueError("not an answer to a call")
    if "approve" in said:
        return CallDecision(said["call_id"], approve=said["approve"])
    return CallOutput(said["call_id"], said["output"])


def _said(item: SideItem) -> Mapping[str, Any] | None:
    content = item.body.get("content")
    said = content.get(_MARK) if isinstance(content, dict) else None
    return said if isinstance(said, dict) else None
