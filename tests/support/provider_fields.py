"""Members of a chunk that are strange, or report an error."""

import json
from collections.abc import Iterator

from tests.support.provider_cases import Case
from tests.support.provider_responses import (
    DONE,
    HELLO,
    JSON,
    PIECES,
    SSE,
    STOP,
    TEXT,
    WHOLE,
    chunk,
    completed,
    encoded,
    event,
    failed,
    response,
    said,
)


def strange_fields() -> Iterator[Case]:
    """A strange field costs only itself."""
    for name, delta in {
        "refusal false": {"content": WHOLE, "refusal": False},
        "refusal a number": {"content": WHOLE, "refusal": 0},
        "role a list": {"content": WHOLE, "role": ["assistant"]},
        "tool_calls a string": {"content": WHOLE, "tool_calls": "none"},
        "reasoning beside it": {"content": WHOLE, "reasoning_content": 5},
        "content a list of parts": {
            "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": ", wörld 😀"}]
        },
        "content a list of strings": {"content": list(PIECES)},
        "content one part": {"content": {"type": "text", "text": WHOLE}},
        "content parts with a value": {"content": [{"type": "text", "text": {"value": WHOLE}}]},
        "content parts without a type": {
            "content": [{"text": WHOLE}, {"type": "image_url", "image_url": {"url": "x"}}, None]
        },
        "content parts with thinking": {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
                {"type": "text", "text": WHOLE},
            ]
        },
        "delta a string": WHOLE,
    }.items():
        yield completed(f"field: {name}", event(chunk(delta)), STOP, DONE)
    for name, value, text in [
        ("an integer", 4, "4"),
        ("zero", 0, "0"),
        ("a float", 1.5, "1.5"),
        ("negative", -12, "-12"),
        ("true", True, "true"),
    ]:
        yield completed(f"field: content {name}", said(value), STOP, DONE, text=text)
    yield completed(
        "field: content 1.10", event(b'{"choices": [{"delta": {"content": 1.10}}]}'), STOP, DONE, text="1.10"
    )
    for name, last in {
        "delta an empty list": chunk([], "stop"),
        "delta null": chunk(None, "stop"),
        "delta a number": chunk(0, "stop"),
        "delta missing": {"choices": [{"index": 0, "finish_reason": "stop"}]},
        "choices one object": {"choices": {"delta": {}, "finish_reason": "stop"}},
        "a null choice beside it": {"choices": [None, {"delta": {}, "finish_reason": "stop"}]},
        "usage a string": {**chunk({}, "stop"), "usage": "none"},
        "id an object": {**chunk({}, "stop"), "id": {}, "created": "now", "model": None, "object": 7},
        "logprobs strange": chunk({}, "stop", logprobs=3, index={"0": 1}),
    }.items():
        yield completed(f"field: {name}", TEXT, event(last), DONE)
    for name, odd in {
        "a null choice alone": {"choices": [None]},
        "choices a number": {"choices": 3},
        "choices a string": {"choices": "none"},
        "choices null": {"choices": None, "usage": None},
        "a finish reason that is an object": chunk({}, {"type": "stop"}),
        "a finish reason that is a number": chunk({}, 0),
        "a finish reason that is a list": chunk({}, ["stop"]),
        "a finish reason that is false": chunk({}, False),
    }.items():
        yield completed(f"field: {name}", TEXT, event(odd), STOP, DONE)
        yield completed(f"field: {name}, no other end", TEXT, event(odd), DONE)
    yield failed(
        "field: a finish reason that is an object, then a cut", TEXT, event(chunk({}, {"type": "stop"})), text=WHOLE
    )


def errors() -> Iterator[Case]:
    """Whatever reports an error is a failure, wherever it stands; an empty one is none."""
    for name, value in {
        "message": {"error": {"message": "It broke"}},
        "code only": {"error": {"message": "", "code": 500}},
        "a string": {"error": "It broke"},
        "true": {"error": True},
        "in a list": [{"error": {"code": 503, "status": "UNAVAILABLE"}}],
        "errors": {"errors": [{"message": "It broke"}]},
        "error_code": {"text": "NETWORK ERROR", "error_code": 50001},
        "error_msg": {"error_code": 0, "error_msg": "It broke", "choices": []},
        "object error": {"object": "error", "message": "It broke", "code": 40301},
        "type error": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        "detail alone": {"detail": "Internal Server Error"},
        "detail a list": {"detail": [{"loc": ["body"], "msg": "It broke"}]},
        "code and message": {"code": "InvalidParameter", "message": "It broke", "request_id": "r"},
        "code and msg": {"code": 1113, "msg": "It broke"},
        "status and message": {"status": 500, "message": "It broke"},
        "message alone": {"message": "Internal server error"},
        "flat": {"message": "It broke", "type": "server_error", "param": None, "code": None},
        "message and request": {"message": "Service overloaded", "request_id": "r"},
        "of a cloud": {"message": "Slow down", "__type": "ThrottlingException"},
        "capitals": {"Code": "Busy", "Message": "It broke"},
        "in an envelope": {"Response": {"Error": {"Code": "Busy", "Message": "It broke"}}},
        "in a header": {"header": {"code": 10013, "message": "It broke"}},
        "error_type": {"error_type": "overloaded"},
        "error_message beside choices": {**chunk({}), "error_message": "It broke"},
        "status beside choices": {**chunk({}), "status": "failed"},
        "error_code in the choice": chunk({}, error_code=7),
        "success false": {"success": False},
        "base_resp": {"base_resp": {"status_code": 1004, "status_msg": "It broke"}},
        "choices too": {**chunk({"content": ""}), "error": {"message": "It broke"}},
        "error_code beside choices": {**chunk({}), "error_code": 7},
        "object error beside choices": {**chunk({}), "object": "error"},
        "in the choice": chunk({}, error={"code": 502, "message": "It broke"}),
        "in the choice, with a finish reason": chunk({}, "error", error={"code": 502, "message": "It broke"}),
        "in the delta": chunk({"error": "It broke"}),
        "at x_groq": {**chunk({}), "x_groq": {"error": "over capacity"}},
    }.items():
        yield failed(f"error: {name}, then done", HELLO, event(value), DONE)
        yield failed(f"error: {name}, first of all", event(value), DONE, text="")
        yield completed(f"error: {name}, after the end", TEXT, STOP, event(value), DONE)
    yield failed("error: with the last text", said("Hello", error={"message": "It broke"}), DONE)
    yield failed(
        "error: after an end without any text",
        event(chunk({}, "stop")),
        event({"error": {"message": "no"}}),
        DONE,
        text="",
    )
    for name, lines in {
        "a field": b'error: {"code":400,"message":"too long","type":"invalid_request_error"}\n\n',
        "a field with plain words": b"error: upstream went away\n\n",
        "a field beside a comment": b": note\nerror:boom\n\n",
        "a named event with another object": b'event: error\ndata: {"message": "overloaded", "code": 503}\n\n',
        "a named event with words": b"event: error\ndata: overloaded\n\n",
        "a named event without data": b"event: error\n\n",
        "a named event with a list": b'event: error\ndata: [{"code": 500}]\n\n',
        "a named event of its own kind": b"event: stream_error\ndata: {}\n\n",
        "bare JSON over several lines": json.dumps({"error": {"message": "It broke"}}, indent=2).encode() + b"\n\n",
        "a bare name": b"error\n\n",
        "bare words": b"Internal Server Error\n\n",
        "a page": b"data: <html><h1>502 Bad Gateway</h1></html>\n\n",
        "an event that failed": b"event: failed\ndata: {}\n\n",
        "an exception": b"event: exception\ndata: {}\n\n",
        "words": b"data: [ERROR] upstream went away\n\n",
        "words of a proxy": b"data: Internal Server Error\n\n",
        "words quoted": b'data: "error"\n\n',
        "bare JSON": b'{"error": {"message": "It broke", "code": 500}}\n\n',
    }.items():
        yield failed(f"error: {name}, then done", HELLO, lines, DONE)
        yield completed(f"error: {name}, after the end", TEXT, STOP, lines, DONE)
    for name, empty in {
        "null": None, "an empty object": {}, "an empty string": "", "false": False, "zero": 0, "an empty list": [],
        "empty members": {"message": "", "type": "", "param": "", "code": None}, "code 0": {"code": 0, "message": ""},
        "success": {"code": 200, "message": "success"},
    }.items():  # fmt: skip
        yield completed(
            f"no error: {name}", *(event({**chunk({"content": p}), "error": empty}) for p in PIECES), STOP, DONE
        )
        yield completed(f"no error: {name} in the choice", *(said(p, error=empty) for p in PIECES), STOP, DONE)
    yield completed("no error: base_resp", TEXT, event({**chunk({}, "stop"), "base_resp": {"status_code": 0}}), DONE)
    yield completed("no error: an empty field named error", TEXT, b"error: {}\nerror:\n\n", STOP, DONE)
    yield completed(
        "no error: content filter of the prompt", event({"choices": [], "prompt_filter_results": []}), TEXT, STOP, DONE
    )
    for content_type in (JSON, SSE):
        yield Case(
            f"error: JSON as {content_type}",
            response(encoded({"error": {"message": "no"}}), content_type),
            "failed",
            "",
        )
        yield Case(f"error: detail as {content_type}", response(encoded({"detail": "no"}), content_type), "failed", "")
