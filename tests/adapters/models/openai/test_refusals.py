"""How real servers name the member that they refuse; and what only looks like it."""

import json
import time
from typing import Any

import pytest

from chatorch.adapters.models.openai.refusals import MAX_BYTES, OPTIONAL, RefusedMembers, refused_members


def openai(message: str, param: object = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def fastapi(*loc: str | int, kind: str = "extra_forbidden", **more: Any) -> dict[str, Any]:
    return {"detail": [{"type": kind, "loc": list(loc), "msg": "Extra inputs are not permitted", **more}]}


def google(description: str) -> dict[str, Any]:
    violation = {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"description": description}],
    }
    return {"error": {"code": 400, "message": description, "status": "INVALID_ARGUMENT", "details": [violation]}}


FORMS: list[object] = [
    openai("Unrecognized request argument supplied: NAME"),
    openai("Unrecognized request arguments supplied: foo, NAME"),
    openai("Unknown parameter: 'NAME'.", "NAME", "unknown_parameter"),
    openai("Unknown parameter: 'NAME'."),
    openai("UNKNOWN PARAMETER: 'NAME'."),
    openai("Unsupported parameter: 'NAME' is not supported with this model."),
    openai("Invalid request.", "NAME"),
    openai("Invalid request.", "body.NAME"),
    [openai("Unknown parameter: 'NAME'.", "NAME")],
    fastapi("body", "NAME", input="x"),
    fastapi("body", "NAME", kind="value_error.extra"),
    fastapi("NAME"),
    {"message": fastapi("body", "NAME"), "object": "error", "type": "invalid_request_error"},
    {"message": json.dumps(fastapi("body", "NAME")), "object": "error"},
    openai(
        "[{'type': 'extra_forbidden', 'loc': ('body', 'NAME'), 'msg': 'Extra inputs are not permitted', 'input': 'x'}]"
    ),
    openai(
        "1 validation error for ChatCompletionRequest\nNAME\n  Extra inputs are not permitted "
        "[type=extra_forbidden, input_value='x', input_type=str]\n    For further information visit https://x.test"
    ),
    {"detail": "1 validation error for Request\nbody -> NAME\n  extra fields not permitted"},
    'json: unknown field "NAME"\n',
    openai('json: unknown field "NAME"'),
    {"error": 'invalid request: json: unknown field "NAME"'},
    google('Invalid JSON payload received. Unknown name "NAME": Cannot find field.'),
    [google('Invalid JSON payload received. Unknown name "NAME": Cannot find field.')],
    {"fieldViolations": [{"field": "NAME", "description": "unknown"}]},
    "Failed to deserialize the JSON body: unknown field `NAME`, expected one of `messages`, `stream` at column 5",
    {"message": "Additional properties are not allowed ('NAME' was unexpected)"},
    {"message": "Additional properties are not allowed ('foo', 'NAME' were unexpected)"},
    {"statusCode": 400, "message": ["property NAME should not exist"], "error": "Bad Request"},
    {"message": '"NAME" is not allowed', "details": [{"path": ["NAME"], "type": "object.unknown"}]},
    {"issues": [{"code": "unrecognized_keys", "keys": ["NAME"], "path": [], "message": "Unrecognized"}]},
    {"error": "Unrecognized key(s) in object: 'NAME'"},
    [{"keyword": "additionalProperties", "params": {"additionalProperty": "NAME"}, "message": "must NOT"}],
    {"NAME": ["Unknown field."]},
    {"errors": {"NAME": "is not permitted"}},
    {"errors": [{"detail": "not permitted", "source": {"pointer": "/NAME"}}]},
    {"errors": [{"detail": "is unknown", "pointer": "#/NAME"}]},
    {"type": "error", "error": {"message": "NAME: Extra inputs are not permitted"}},
    {"error": {"message": "create() got an unexpected keyword argument 'NAME'"}},
    openai("litellm.UnsupportedParamsError: x does not support parameters: ['NAME'], for model=m."),
    {"code": "Client specified an invalid argument", "error": "Argument not supported on this model: NAME"},
    {"message": "Malformed input request: #: extraneous key [NAME] is not permitted, please reformat"},
    {"message": "The parameter NAME is not supported."},
    {"message": "NAME is not a supported parameter"},
    {"error": {"message": "x", "metadata": {"raw": json.dumps(openai("Unknown parameter: 'NAME'"))}}},
    "<html><body><h1>400</h1><pre>Unknown field &quot;NAME&quot;</pre></body></html>",
    'Unrecognized field "NAME" (class X), not marked as ignorable (2 known properties: "model", "n")',
    "The JSON property 'NAME' could not be mapped to any .NET member contained in type 'X'.",
    b"\xef\xbb\xbf" + json.dumps(openai("Unknown parameter: NAME")).encode(),
    "data: " + json.dumps(openai("no", "NAME")) + "\n\n",
    b"\xff\xfe unknown field 'NAME' \xff",
]


def content(body: object, name: str = "") -> bytes:
    if not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
    return body.replace(b"NAME", name.encode())


def refused(body: object, name: str = "") -> set[str]:
    return set(refused_members(content(body, name), OPTIONAL))


@pytest.mark.parametrize("name", ["stream_options", "user"])
@pytest.mark.parametrize("form", FORMS)
def test_the_forms_of_real_servers_are_understood(form: object, name: str) -> None:
    assert refused(form, name) == {name}


@pytest.mark.parametrize(
    "body",
    [
        openai("The 'stream_options' parameter is only allowed when 'stream' is enabled."),
        openai("Stream options can only be defined when `stream=True`."),
        openai("stream_options.include_usage is not supported"),
        openai("Unrecognized", param="stream_options.include_usage"),
        fastapi("body", "stream_options", "include_usage"),
        fastapi("body", "ChatCompletionRequest", "stream_options"),
        openai("This model does not support stream_options."),
        openai("x", param="streamOptions"),
        "不支持的参数 stream_options",
    ],
)
def test_stream_options_are_known_in_any_sentence_of_refusal(body: object) -> None:
    assert refused(body) == {"stream_options"}


@pytest.mark.parametrize(
    "body",
    [
        openai("Unsupported value: 'stream' does not support true. Supported values are: false.", "stream"),
        openai("Unsupported value: 'stream' does not support true with this model."),
        openai("Your organization must be verified to stream this model.", "stream", "unsupported_value"),
        openai("Your organization must be verified to stream this model."),
        openai("streaming is not supported for this model"),
        openai("Streaming is not supported", param="model"),
        openai("This model doesn't support streaming."),
        openai("The model `x` does not support stream=true"),
        {"detail": "Streaming not yet supported"},
        {"error": "`stream` must be false"},
        {"error": '"stream": true is not supported'},
        {"message": "stream mode is disabled"},
        {"error": "Only non-streaming requests are served"},
        {"message": "Unsupported: streaming"},
        "cannot stream this model",
        "json: unknown field 'stream'",
        fastapi("body", "stream"),
    ],
)  # fmt: skip
def test_no_streams_at_all_is_understood(body: object) -> None:
    assert refused(body) == {"stream"}


@pytest.mark.parametrize(
    "body",
    [
        openai("Conversation roles must alternate user/assistant/user/assistant/..."),
        openai("roles must alternate between \"user\" and \"assistant\", which is not supported"),
        openai("user message too long"),
        openai("Invalid input: user message is not allowed"),
        openai("user quota exceeded"),
        openai("Invalid value: 'user'. Supported values are: 'system', 'assistant'.", param="messages[0].role"),
        openai("Unsupported value: 'messages[0].role' does not support 'user' with this model."),
        openai("Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant"),
        openai("User location is not supported for the API use."),
        openai("Invalid API key for user"),
        openai("user is not a member of this organization"),
        openai("The user's prompt was flagged. Extra care is not supported."),
        openai("Unknown field 'foo'. Supported fields are: messages, model, stream, stream_options, user"),
        "unknown field `foo`, expected one of `messages`, `model`, `stream`, `stream_options`, `user`",
        fastapi("body", "messages", 0, "user", "content"),
        fastapi("body", "messages", 0, "role", input="user"),
        fastapi("body", "foo", input={"stream_options": {"include_usage": True}, "user": "x", "stream": True}),
        {"error": "too long", "request": {"stream_options": "unsupported", "user": ["unknown field"]}},
        {"error": {"message": "bad", "user": "usr_1"}, "stream_options": {"include_usage": True}, "stream": True},
        openai("upstream is not available"),
        openai("stream aborted"),
        openai("The stream ended early. This is not your fault."),
        openai("Input contains a stream of profanity"),
        openai("This model only supports stream mode, please enable the stream parameter"),
        openai("Unknown parameter: 'user_id'.", param="user_id"),
        openai("Unknown parameter: 'metadata.user'"),
        openai("max_tokens is too large", param="max_tokens"),
        "", "null", "400", "[]", "{}", "not json {", '"just words"', "<html>Bad Request</html>", b"\x00\xff\xfe",
        "[" * 8000, '{"a":' * 3000,
        "x" * MAX_BYTES + "unknown field 'user'",
    ],
)  # fmt: skip
def test_what_names_nothing_of_ours_is_left_alone(body: object) -> None:
    assert refused(body) == set()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (openai("include_usage is not supported"), "stream_options"),
        (openai("stream-options: unknown"), "stream_options"),
        (openai("Please reduce the length of the messages. stream_options were fine."), "stream_options"),
        (openai("Unknown parameter 'foo' in the request of this user"), "user"),
    ],
)
def test_a_mention_is_enough_since_it_costs_one_request_and_a_miss_costs_all(body: object, named: str) -> None:
    assert refused(body) == {named}


def test_several_are_known_at_once_and_stream_is_the_last_to_go() -> None:
    both = {"detail": fastapi("body", "user")["detail"] + fastapi("body", "stream_options")["detail"]}
    assert refused(both) == {"user", "stream_options"}
    assert refused(openai("Unrecognized request arguments supplied: stream_options, user")) == {
        "user",
        "stream_options",
    }
    assert refused(openai("Unknown parameters: 'stream', 'stream_options'")) == {"stream_options"}


def test_only_what_was_sent_is_found() -> None:
    body = json.dumps(openai("Unknown parameters: 'stream_options', 'user'")).encode()
    assert refused_members(body, {"stream"}) == frozenset()
    assert refused_members(body, {"stream", "user"}) == {"user"}
    assert refused_members(body, frozenset()) == frozenset()


@pytest.mark.parametrize(
    "unit",
    [
        "unknown field user, ",
        "'user' ",
        "user\n ",
        "not supported stream ",
        "[",
        '["user",',
        "<a>",
        "&quot;user",
        "not ",
    ],
)
def test_the_longest_body_is_read_quickly(unit: str) -> None:
    body = (unit * MAX_BYTES)[:MAX_BYTES].encode()
    started = time.process_time()
    refused_members(body, OPTIONAL)
    assert time.process_time() - started < 0.5


def test_the_models_that_were_asked_last_are_remembered() -> None:
    refused = RefusedMembers(limit=2)
    assert refused.learn("a", frozenset({"user"}))
    assert not refused.learn("a", frozenset({"user"}))
    assert refused.learn("b", frozenset({"stream"}))
    assert refused.of("a") == {"user"}
    assert refused.learn("c", frozenset({"user"}))
    assert refused.of("b") == frozenset()
    assert refused.learn("a", frozenset({"stream_options"}))
    assert refused.of("a") == {"user", "stream_options"}
