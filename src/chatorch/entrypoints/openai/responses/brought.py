"""Messages with calls or results that no run wrote, as items: what clients brought, and what they said to calls."""

from collections.abc import Iterator

from chatorch.domain.model.conversation import Message
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.tools import CallStatus
from chatorch.entrypoints.openai.responses.call_items import AskedCalls, answers_call, call_item
from chatorch.entrypoints.openai.responses.ids import APPROVAL_RESPONSE, FUNCTION_CALL_OUTPUT, item_id
from chatorch.entrypoints.openai.responses.items import COMPLETED, Json


def brought_views(message: Message, status: str, asked: AskedCalls) -> list[Json]:
    """`asked` are calls that earlier messages of its turn asked for."""
    views = list(_words(message, status))
    for index, part in enumerate(message.parts):
        views += _of_part(message, index, part, asked)
    return views


def output_text(text: str) -> Json:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _words(message: Message, status: str) -> Iterator[Json]:
    if message.content:
        view = {"id": message.id, "type": "message", "status": status, "role": message.role.value}
        yield {**view, "content": [output_text(message.content)]}


def _of_part(message: Message, index: int, part: Part, asked: AskedCalls) -> Iterator[Json]:
    if part.kind is PartKind.TOOL_CALL and (item := call_item(message.id, index, part)):
        yield item.view(part.body, COMPLETED)
    if part.kind is PartKind.TOOL_RESULT and answers_call(part):
        call_id = str(part.head["call_id"])
        request = asked.get(call_id)
        if request and part.head["status"] == CallStatus.DENIED:
            yield _denied(message, index, request.request_id, part.body)
        else:
            ident = item_id(FUNCTION_CALL_OUTPUT, message.id, index)
            view = {"id": ident, "type": "function_call_output", "status": COMPLETED}
            yield {**view, "call_id": call_id, "output": part.body}


def _denied(message: Message, index: int, request_id: str, reason: str) -> Json:
    ident = item_id(APPROVAL_RESPONSE, message.id, index)
    view = {"id": ident, "type": "mcp_approval_response", "approval_request_id": request_id}
    return {**view, "approve": False, "reason": reason}
