"""How calls of the past are sent."""

import json

import pytest

from chatorch.adapters.models.openai.prompts import message_of
from chatorch.domain.model.calls import call_part
from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import Role


def sent(arguments: str) -> str:
    said = message_of(PromptMessage(Role.ASSISTANT, "", calls=(call_part("c1", "find", arguments),)))
    text: str = said["tool_calls"][0]["function"]["arguments"]
    return text


@pytest.mark.parametrize("said", ["{}", '{"a": [1.5, "é", null]}', ' {"a":1}\n', '{"n": 12345678901234567890123}'])
def test_an_object_goes_back_as_it_was_said(said: str):
    assert sent(said) == said


@pytest.mark.parametrize("said", ["", " \n"])
def test_nothing_goes_back_as_an_empty_object(said: str):
    assert sent(said) == "{}"


@pytest.mark.parametrize(
    "said", ['{"a": ', "null", "[1]", '"é"', "3", '{"a": NaN}', "{'a': 1}", '{"a": 1e999}', "{} {}", "[" * 10_000]
)
def test_what_no_server_can_read_goes_back_within_an_object(said: str):
    assert json.loads(sent(said)) == {"not_a_json_object": said}
