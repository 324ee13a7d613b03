"""What a client says in items, as messages."""

import pytest

from chatorch.domain.model.conversation import NewMessage, Role
from chatorch.domain.model.errors import InvalidField, RoleNotAllowed
from chatorch.entrypoints.openai.responses.inputs import inputs

U, A, S = Role.USER, Role.ASSISTANT, Role.SYSTEM


def said(given: object) -> list[tuple[Role, str]]:
    return [(message.role, message.content) for message in inputs(given).messages]


def test_text_is_the_users():
    assert inputs("Hi", metadata={"a": "b"}).messages == (NewMessage(U, "Hi", metadata={"a": "b"}),)


def test_items_are_messages_and_an_answer_comes_back_as_it_was():
    answer = {
        "id": "msg_1_0", "type": "message", "role": "assistant", "status": "completed", "phase": None,
        "content": [{"type": "output_text", "text": "Well, ", "annotations": [{}], "logprobs": []},
                    {"type": "refusal", "refusal": "no"}],
    }  # fmt: skip
    given = [
        {"role": "developer", "content": "Rules"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {**answer, "content": []},
        answer,
        {"role": "user", "content": [{"type": "input_text", "text": "H"}, {"type": "input_text", "text": "i"}]},
    ]
    assert said(given) == [(S, "Rules"), (A, "Well, no"), (U, "Hi")]
    assert inputs(given).places == (0, 3, 4)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (None, "input"),
        ({}, "input"),
        ([], "input"),
        ([{"type": "reasoning"}], "input"),
        (["Hi"], "input.0"),
        ([{"role": "user", "content": "Hi"}] * 1001, "input"),
        ([{"type": "item_reference", "id": "msg_1"}], "input.0.type"),
        ([{"type": ["message"], "role": "user", "content": "Hi"}], "input.0.type"),
        ([{"role": "critic", "content": "Hi"}], "input.0.role"),
        ([{"role": [], "content": "Hi"}], "input.0.role"),
        ([{"role": "user"}], "input.0.content"),
        ([{"role": "user", "content": 1}], "input.0.content"),
        ([{"role": "user", "content": ["Hi"]}], "input.0.content.0"),
        ([{"role": "user", "content": [{"type": {}, "text": "Hi"}]}], "input.0.content.0.type"),
        ([{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}], "input.0.content.0.type"),
        ([{"role": "user", "content": [{"type": "input_text", "text": None}]}], "input.0.content.0.text"),
        ([{"role": "user", "content": "Hi", "weight": 1}], "input.0.weight"),
        ([{"role": "user", "content": "Hi", "<script>": 1}], "input.0.*"),
        ([{"role": "user", "content": [{"type": "input_text", "text": "Hi", "cache": 1}]}], "input.0.content.0.cache"),
    ],
)
def test_what_cannot_be_read_is_named(given: object, field: str):
    with pytest.raises(InvalidField) as refused:
        inputs(given)
    assert refused.value.field == field
    assert "script" not in refused.value.detail


def test_what_the_domain_refuses_is_named_as_the_client_wrote_it():
    items = inputs([{"type": "reasoning"}, {"role": "user", "content": "Hi"}, {"role": "user", "content": " "}])
    assert items.refused(InvalidField("messages.1.content", "must not be blank")).field == "input.2.content"
    assert items.refused(InvalidField("messages", "the last one")).field == "input"
    assert items.refused(InvalidField("thread_id", "is odd")).field == "thread_id"
    error = items.refused(RoleNotAllowed("messages.0.role: system is not allowed here"))
    assert (error.field, error.problem) == ("input.1.role", "system is not allowed here")
    assert items.refused(RoleNotAllowed("instructions: not allowed here")).field == "instructions"
    assert inputs("Hi").refused(InvalidField("messages.0.content", "is too long")).field == "input"
