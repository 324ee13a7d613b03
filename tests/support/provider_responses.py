"""Raw responses of a provider, put together for the cases."""

import json

from tests.support.provider_cases import Case

WHOLE = "Hello, wörld 😀"
PIECES = ("Hello", ", wörld", " 😀")
SSE = "text/event-stream"
JSON = "application/json"

DONE = b"data: [DONE]\n\n"
MESSAGE = {"role": "assistant", "content": WHOLE}
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


def encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def event(value: object) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else encoded(value)) + b"\n\n"


def chunk(delta: object, reason: object = None, **members: object) -> dict[str, object]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, **members}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def said(content: object, reason: object = None, **members: object) -> bytes:
    return event(chunk({"content": content}, reason, **members))


STOP = event(chunk({}, "stop"))
TEXT = b"".join(said(piece) for piece in PIECES)
HELLO = said("Hello")


def response(body: bytes, content_type: str | None = SSE, *headers: str, length: int | None = None) -> bytes:
    """Ended by the connection's end, unless there is a length: then a longer one is a cut."""
    named = [] if content_type is None else [f"Content-Type: {content_type}"]
    framed = ["Connection: close"] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join(["HTTP/1.1 200 OK", *named, *headers, *framed, "", ""]).encode() + body


def completed(name: str, *events: bytes, text: str = WHOLE) -> Case:
    return Case(name, response(b"".join(events)), "completed", text)


def failed(name: str, *events: bytes, text: str = "Hello") -> Case:
    return Case(name, response(b"".join(events)), "failed", text)


def body(name: str, data: bytes, content_type: str | None = JSON, *headers: str, text: str = WHOLE) -> Case:
    return Case(name, response(data, content_type, *headers), "completed", text)


def answer(reason: object = "stop", **members: object) -> dict[str, object]:
    return {
        "id": "x",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": reason}],
    } | members
