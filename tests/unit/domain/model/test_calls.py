"""Calls and what came of them, told to a model."""

from chatorch.domain.model.calls import call_part, result_part
from chatorch.domain.model.context import ContextWindow, PromptMessage
from chatorch.domain.model.conversation import Message, MessageId, MessageStatus, Role, ThreadId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.tools import CallStatus
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
