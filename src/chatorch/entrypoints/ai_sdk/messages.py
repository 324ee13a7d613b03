"""Stored messages as the client's UI messages: as its own fold of the stream leaves them, so that a reload changes
nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import Message, Role
from chatorch.domain.model.parts import Part, PartKind
from chatorch.entrypoints.ai_sdk.said import (
    NOT_EXECUTED,
    NOT_WHOLE,
    Calls,
    answered,
    begun,
    data_part,
    failed,
    file_part,
    source_part,
    value_of,
)

Json = dict[str, Any]

MAX_CLIENT_ID_CHARS = 255
CLIENT_ID = "client_message_id"
"""In the metadata of a message of the user's: the id that its client knows it by."""


def known_by(message: Message) -> tuple[str, ...]:
    """The ids that a client may know it by: its own, and ours."""
    own = message.metadata.get(CLIENT_ID)
    if isinstance(own, str) and 0 < len(own) <= MAX_CLIENT_ID_CHARS:
        return own, message.id
    return (message.id,)


def ui_message(message: Message) -> Json:
    """``{"id", "role", "metadata", "parts"}``."""
    if message.role is not Role.ASSISTANT:
        rest = {name: said for name, said in message.metadata.items() if name != CLIENT_ID}
        parts = [{"type": "text", "text": message.content}]
        return {"id": known_by(message)[0], "role": message.role, "metadata": rest, "parts": parts}
    about = {"run_id": message.run_id, "thread_id": message.thread_id, "status": message.status}
    parts = [{"type": "step-start"}, *_parts(message.whole)]
    return {"id": message.id, "role": message.role, "metadata": about, "parts": parts}


def _parts(content: Content) -> Iterator[Json]:
    results, told = _results(content), 0
    for index, part in content.shown():
        match part.kind:
            case PartKind.TEXT if part.body:
                yield {"type": "text", "text": part.body, "state": "done"}
            case PartKind.REASONING:
                yield {"type": "reasoning", "id": str(index), "text": part.body, "state": "done"}
            case PartKind.TOOL_CALL:
                yield _call(part, *results[told])
                told += 1
            case PartKind.SOURCE if part.head:
                yield source_part(part.head, index)
            case PartKind.FILE:
                yield file_part(part.head)
            case PartKind.DATA if part.closed and (data := data_part(part.head, part.body, index)) is not None:
                yield data


def _results(content: Content) -> list[tuple[str, Part | None]]:
    """Of each call, in their order: its id at the client's, and its result where it has one."""
    calls: Calls = ()
    results: dict[str, Part] = {}
    for index, part in enumerate(content.parts):
        if part.kind is PartKind.TOOL_CALL:
            calls = begun(calls, part.head, index)
            if not _input(part)[1]:
                calls = (*calls[:-1], calls[-1]._replace(waits=False))
        elif part.kind is PartKind.TOOL_RESULT and part.closed:
            calls, call = answered(calls, part)
            if call is not None:
                results[call.told_as] = part
    return [(call.told_as, results.get(call.told_as)) for call in calls]


def _call(call: Part, told_as: str, result: Part | None) -> Json:
    value, taken = _input(call)
    name = str(call.head.get("name", ""))
    known: Mapping[str, Any] = {"type": "dynamic-tool", "toolName": name, "toolCallId": told_as, "input": value}
    if not taken:
        how = {"state": "output-error", "errorText": NOT_WHOLE}
    elif result is None:
        how = {"state": "output-error", "errorText": NOT_EXECUTED}
    elif failed(result):
        how = {"state": "output-error", "errorText": result.body or NOT_EXECUTED}
    else:
        how = {"state": "output-available", "output": result.body}
    return {**known, **how, "providerExecuted": True}


def _input(call: Part) -> tuple[Any, bool]:
    return value_of(call.body) if call.closed else (call.body, False)
