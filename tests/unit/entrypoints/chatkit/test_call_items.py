"""What a user is shown of a call: all that they are asked to answer for, and no more of a result than fits."""

import json

import pytest
from chatkit.types import WidgetItem, WorkflowItem

import chatorch.entrypoints.chatkit  # noqa: F401  # the package, without its warnings
from chatorch.domain.model.call_answers import CallDecision, CallOutput
from chatorch.domain.model.conversation import MessageId, ThreadId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.tools import CallStatus
from chatorch.entrypoints.chatkit.call_items import call_item
from chatorch.entrypoints.chatkit.call_states import CallState
from chatorch.entrypoints.chatkit.kept_answers import answer_in, is_kept_answer, kept_answer
from tests.unit.entrypoints.chatkit.test_answer import NOW

PLACED = {"thread_id": "thr_1", "created_at": NOW}
ASKS = CallState(CallStatus.PENDING, asks=True)


def call(arguments: str, **head: object) -> Part:
    about = {"id": "c1", "name": "pay", "by": "server", **head}
    return Part(PartKind.TOOL_CALL, about, arguments, closed=True)


def shown_arguments(arguments: str) -> str:
    item = call_item("msg_1", 1, call(arguments, needs_approval=True), ASKS)
    read = WidgetItem.model_validate({**PLACED, **item})
    assert json.loads(read.model_dump_json(exclude_none=True))["widget"] == item["widget"], "live as it is read"
    text: str = item["widget"]["children"][1]["value"]
    return text


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ("", "{}"),
        ('{"a":[1]}', '{\n  "a": [\n    1\n  ]\n}'),
        ('{"a": ', '{"a": '),
        ('{"to": "bob\u202eeve\u200b"}', '{\n  "to": "bob\\u202eeve\\u200b"\n}'),
        ('{"to": "é日🙂"}', '{\n  "to": "é日🙂"\n}'),
        ("[" * 5000, "[" * 5000),
        ('{"a": "' + "x" * 100_000 + '"}', '{\n  "a": "' + "x" * 100_000 + '"\n}'),
    ],
    ids=range(7),
)
def test_all_arguments_are_shown_and_nothing_in_them_hides(arguments: str, shown: str):
    assert shown_arguments(arguments) == shown


def test_arguments_are_not_drawn_out_by_their_nesting():
    arguments = '{"a":' * 400 + "1" + "}" * 400
    assert len(shown_arguments(arguments)) <= 10 * len(arguments)


@pytest.mark.parametrize("status", CallStatus)
@pytest.mark.parametrize("approval", [False, True])
def test_a_call_can_be_shown_however_it_stands_and_is_pressed_only_where_it_asks(status: CallStatus, approval: bool):
    for said in (None, "", "sunny", "long " * 1000):
        part = call("{}", **({"needs_approval": True} if approval else {}))
        item = call_item("msg_1", 1, part, CallState(status, said))
        kind = WidgetItem if approval else WorkflowItem
        assert len(kind.model_validate({**PLACED, **item}).model_dump_json()) < 2500
        assert "Button" not in str(item)
        loading = status in (CallStatus.PENDING, CallStatus.RUNNING)
        assert approval or (item["workflow"]["tasks"][0]["status_indicator"] == "loading") is loading


@pytest.mark.parametrize("answer", [CallDecision("c1", approve=True), CallDecision("c1", approve=False),
                                    CallOutput("c1", "é")])  # fmt: skip
def test_an_answer_is_kept_as_it_was_said(answer: CallDecision | CallOutput):
    item = kept_answer(ThreadId("thr_1"), MessageId("msg_1"), 3, answer, NOW)
    assert is_kept_answer(item)
    assert (answer_in(item), item.id) == (answer, "ans_1_3")
