"""Calls and what came of them, told to a model."""

from dataclasses import replace

import pytest

from chatorch.domain.model.calls import Standing, call_head, call_part, result_part
from chatorch.domain.model.context import ContextWindow, PromptMessage
from chatorch.domain.model.conversation import Message, MessageId, MessageStatus, Role, ThreadId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.tools import CallStatus, CarriedOutBy
from tests.support.stores import NOW


def message(position: int, role: Role, *parts: Part, text: str = "") -> Message:
    whole = (Part(PartKind.TEXT, body=text), *parts) if parts else ()
    id_, thread_id = MessageId(f"msg_{position}"), ThreadId("thr_1")
    return Message(id_, thread_id, position, role, text, MessageStatus.COMPLETE, NOW, parts=whole)


def told(*messages: Message) -> list[tuple[Role, str]]:
    def of(each: PromptMessage) -> tuple[Role, str]:
        return each.role, each.content or ",".join(call.body for call in each.calls)

    return [of(each) for each in ContextWindow(10_000).select(messages)]


def test_a_client_may_bring_calls_that_are_counted_anew_in_each_step():
    """As several providers give them out: each result belongs to the call before it."""
    step = [
        (
            message(2 * n, Role.ASSISTANT, call_part("call_0", "look", f'{{"n":{n}}}')),
            message(2 * n + 1, Role.TOOL, result_part("call_0", CallStatus.COMPLETED, f"result {n}")),
        )
        for n in (1, 2)
    ]
    assert told(message(1, Role.USER, text="Hi"), *step[0], *step[1]) == [
        (Role.USER, "Hi"),
        (Role.ASSISTANT, '{"n":1}'),
        (Role.TOOL, "result 1"),
        (Role.ASSISTANT, '{"n":2}'),
        (Role.TOOL, "result 2"),
    ]


@pytest.mark.parametrize(
    ("asked_in", "then", "now"),
    [
        (MessageStatus.COMPLETE, [MessageStatus.STREAMING], CallStatus.RUNNING),
        (MessageStatus.COMPLETE, [MessageStatus.INCOMPLETE], CallStatus.UNKNOWN),
        (MessageStatus.COMPLETE, [MessageStatus.INCOMPLETE, MessageStatus.STREAMING], CallStatus.UNKNOWN),
        (MessageStatus.INCOMPLETE, [MessageStatus.STREAMING], CallStatus.NOT_EXECUTED),
        (MessageStatus.INCOMPLETE, [MessageStatus.COMPLETE], CallStatus.NOT_EXECUTED),
    ],
)
def test_only_the_next_run_makes_what_was_approved_and_only_where_it_was_asked(
    asked_in: MessageStatus, then: list[MessageStatus], now: CallStatus
):
    """Whatever goes on with the turn after a run of it ended badly."""
    call = Part(PartKind.TOOL_CALL, call_head("c", "pay", CarriedOutBy.SERVER, needs_approval=True), "{}", closed=True)
    asks = replace(message(1, Role.ASSISTANT, call), status=asked_in)
    since = [replace(message(at, Role.ASSISTANT), status=status) for at, status in enumerate(then, 2)]
    assert Standing.behind(asks, since).status_of(call) is now
