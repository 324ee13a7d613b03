"""A history with calls of tools, as clients send it, and what of it is refused."""

from typing import Any

import pytest

from chatorch.domain.model.conversation import Role
from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.parts import PartKind
from chatorch.entrypoints.openai.chat_completions.messages import CallsOpen, new_messages
from chatorch.entrypoints.openai.chat_completions.schema import MessageIn

Json = dict[str, Any]
HI: Json = {"role": "user", "content": "Hi"}


def asks(*ids: str, content: Any = None, **members: Any) -> Json:
    function = {"name": "find", "arguments": '{"a": 1}'}
    calls = [{"id": ident, "type": "function", "function": function} for ident in ids]
    return {"role": "assistant", "content": content, "tool_calls": calls, **members}


def says(ident: str, content: Any = "it", **members: Any) -> Json:
    return {"role": "tool", "tool_call_id": ident, "content": content, **members}


def taken(*history: Json, **options: Any) -> Any:
    return new_messages([MessageIn.model_validate(message) for message in history], **options)


def told(*history: Json) -> list[tuple[str, str, str]]:
    """Each call by its id and arguments, each result by its call and what it says."""
    return [
        (str(message.role), str(part.head.get("id") or part.head["call_id"]), part.body)
        for message in taken(*history)
        for part in message.parts
        if part.kind is not PartKind.TEXT
    ]


def test_calls_and_what_came_of_them_are_parts_of_their_messages():
    messages = taken(HI, asks("a", "b", content="Look: "), says("b", [{"type": "text", "text": "x"}]), says("a", ""))
    assert [message.role for message in messages] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.TOOL]
    _, asking, first, second = messages
    assert [(part.kind, part.body) for part in asking.parts] == [
        (PartKind.TEXT, "Look: "),
        (PartKind.TOOL_CALL, '{"a": 1}'),
        (PartKind.TOOL_CALL, '{"a": 1}'),
    ]
    assert (asking.content, asking.parts[1].head) == ("Look: ", {"id": "a", "name": "find", "by": "client"})
    assert first.parts[1].head == {"call_id": "b", "status": "completed"}
    assert (first.content, first.parts[1].body, second.parts[1].body) == ("", "x", "")


def test_arguments_pass_as_they_are():
    call = {"id": "a", "function": {"name": "find", "arguments": '{"cut o'}}
    messages = taken(HI, {"role": "assistant", "tool_calls": [call]}, says("a"))
    assert messages[1].parts[1].body == '{"cut o'


def test_what_libraries_send_back_besides_is_taken():
    function = {"name": "find", "arguments": "{}", "parsed_arguments": {"deep": [1]}}
    call = {"id": "a", "type": "function", "index": 0, "function": function}
    answer = {"role": "assistant", "content": None, "tool_calls": [call], "parsed": None, "function_call": None}
    messages = taken(HI, answer | {"refusal": None, "audio": None, "annotations": []}, says("a", name="find"))
    assert len(messages) == 3
    assert len(taken({**HI, "tool_calls": None}, {"role": "assistant", "content": "Yes", "tool_calls": []})) == 2


def test_what_is_said_once_more_under_an_id_is_another_call():
    """Some servers number the calls of each answer from one on."""
    turn = [HI, asks("c"), says("c", "1")]
    assert told(*turn, asks("c"), says("c", "2"), *turn, asks("c_2"), says("c_2", "x")) == [
        ("assistant", "c", '{"a": 1}'),
        ("tool", "c", "1"),
        ("assistant", "c_2", '{"a": 1}'),
        ("tool", "c_2", "2"),
        ("assistant", "c_3", '{"a": 1}'),
        ("tool", "c_3", "1"),
        ("assistant", "c_2_2", '{"a": 1}'),
        ("tool", "c_2_2", "x"),
    ]


def test_who_says_something_instead_of_an_answer_leaves_the_calls():
    assert told(HI, asks("c"), HI, asks("c"), says("c"))[1:] == [
        ("assistant", "c_2", '{"a": 1}'),
        ("tool", "c_2", "it"),
    ]


REFUSED: list[tuple[list[Json], str]] = [
    ([HI, says("c")], "messages.1"),
    ([says("c"), HI], "messages.0"),
    ([HI, asks("c"), says("d")], "messages.2"),
    ([HI, says("c"), asks("c")], "messages.1"),
    ([HI, asks("c"), says("c"), says("c")], "messages.3"),
    ([HI, asks("c"), HI, says("c")], "messages.3"),
    ([HI, asks("c", "c"), says("c")], "messages.1"),
    ([{"role": "system", "content": ""}, HI, asks("c"), asks("c"), says("c")], "messages.3"),
    ([HI, asks("c"), {"role": "tool", "content": "x"}], "messages.2.tool_call_id"),
    ([HI, asks("c"), {"role": "tool", "tool_call_id": "c"}], "messages.2.content"),
    ([HI, asks("c"), says("c", {"x": 1})], "messages.2.content"),
    ([HI, asks("c"), says("c", [{"type": "image_url", "image_url": {"url": "x"}}])], "messages.2.content.0.type"),
    ([HI, asks("c"), says("c", [{"type": "refusal", "refusal": "x"}])], "messages.2.content.0.type"),
    ([HI, asks("c"), says("c", tool_calls=asks("d")["tool_calls"])], "messages.2.tool_calls"),
    ([{**HI, "tool_calls": asks("d")["tool_calls"]}], "messages.0.tool_calls"),
    ([HI, asks("c", name="bob"), says("c")], "messages.1.name"),
    ([{**HI, "parsed": {}}], "messages.0.parsed"),
]


@pytest.mark.parametrize(("history", "field"), REFUSED)
def test_what_does_not_fit_is_refused_by_its_place_in_what_was_sent(history: list[Json], field: str):
    with pytest.raises(InvalidField) as caught:
        taken(*history)
    assert caught.value.field == field


def test_where_results_come_last_all_must_be_there():
    empty = {"role": "assistant", "content": ""}
    with pytest.raises(CallsOpen) as caught:
        taken(HI, empty, asks("a", "b", "c"), says("b"))
    assert (caught.value.call_ids, caught.value.field) == (("a", "c"), "messages.2.tool_calls")
    with pytest.raises(CallsOpen) as caught:
        taken(HI, asks("a"), says("a"), asks("a", "b"), says("b"))
    assert (caught.value.call_ids, caught.value.field) == (("a",), "messages.3.tool_calls")


def test_metadata_stands_at_the_message_that_is_answered():
    messages = taken(HI, asks("a"), says("a"), metadata={"ticket": "7"})
    assert [message.metadata for message in messages] == [{"ticket": "7"}, {}, {}]
