"""What chunks add up to: finish reasons, choices, whole messages, halves of a character."""

from collections.abc import Iterator

from tests.support.provider_cases import Case
from tests.support.provider_responses import (
    DONE,
    HELLO,
    JSON,
    MESSAGE,
    PIECES,
    SSE,
    STOP,
    TEXT,
    USAGE,
    WHOLE,
    answer,
    body,
    chunk,
    completed,
    encoded,
    event,
    failed,
    response,
    said,
)


def reasons() -> Iterator[Case]:
    """Some finish reasons mean that the answer broke off, some are none; the rest end it, as sent."""
    for word in (
        "error", "ERROR", "abort", "aborted", "insufficient_system_resource", "network_error", "internal error",
        "timeout", "cancelled", "failed", "engine_error", "error_finish", "unavailable",
    ):  # fmt: skip
        yield failed(f"reason: {word}", HELLO, event(chunk({}, word)), DONE)
        yield failed(f"reason: {word}, with text", said("Hello", word), DONE)
        yield Case(f"reason: {word}, as JSON", response(encoded(answer(word)), JSON), "failed", WHOLE)
    yield failed("reason: an object that says error", HELLO, event(chunk({}, {"type": "error"})), DONE)
    for word in (
        "engine_overloaded", "rate_limit", "upstream_timeout", "deadline_exceeded", "aborted_by_server",
        "out_of_memory", "user_cancelled", "client_disconnect", "connection_closed", "worker_died", "preempt",
    ):  # fmt: skip
        yield failed(f"reason: {word}, among words", HELLO, event(chunk({}, word)), DONE)
    yield failed("reason: a list that says error", HELLO, event(chunk({}, ["error"])), DONE)
    for word in (
        "length",
        "content_filter",
        "eos_token",
        "end_turn",
        "stop_sequence",
        "COMPLETE",
        "sensitive",
        "tool_calls",
        "max_tokens",
    ):
        yield completed(f"reason: {word}", TEXT, event(chunk({}, word)))
    for word in ("null", "", "NULL", "None", " "):
        yield completed(f"reason: {word!r} is none", *(said(p, word) for p in PIECES), STOP, DONE)
        yield failed(f"reason: {word!r}, then a cut", *(said(p, word) for p in PIECES), text=WHOLE)
    every = [said(p, "stop") for p in PIECES]
    yield completed("reason: in every chunk, then done", *every, DONE)
    yield completed("reason: in every chunk, then one without text", *every, STOP)
    yield failed("reason: in every chunk, then a cut", *every[:2], text="Hello, wörld")
    yield failed("reason: taken back by text", said("Hello", "stop"), said(", wörld"), text="Hello, wörld")
    yield completed("reason: taken back, and given again", said("Hello", "stop"), said(", wörld"), said(" 😀"), STOP)
    yield completed("reason: taken back, then done", said("Hello", "length"), said(", wörld 😀"), DONE)
    yield completed(
        "reason: an empty delta takes nothing back", TEXT, STOP, said(""), event(chunk({"role": "assistant"}))
    )
    yield Case(
        "reason: taken back, then an error of the line",
        response(said("Hello", "stop") + said("!"), SSE, length=9999),
        "failed",
        "Hello!",
    )
    yield Case("reason: then an error of the line", response(TEXT + STOP, SSE, length=9999), "completed", WHOLE)


def choices() -> Iterator[Case]:
    """`index` counts only where one chunk has several choices."""
    for name, indexes in {
        "strings": "000",
        "rising": (0, 1, 2),
        "all one": (1, 1, 1),
        "null": (None,) * 3,
        "floats": (0.0, 0.0, 0.0),
        "objects": ({}, {}, {}),
    }.items():
        events = [said(p, index=i) for p, i in zip(PIECES, indexes, strict=True)]
        yield completed(f"index: {name}", *events, STOP, DONE)

    def several(*texts: str, **members: object) -> bytes:
        return event({"choices": [{"index": i, "delta": {"content": t}, **members} for i, t in enumerate(texts)]})

    yield completed("index: several in one chunk", several("Hello", "Bye"), several(", wörld 😀", "!"), STOP, DONE)
    yield completed(
        "index: several, the first comes last",
        event({"choices": [{"index": "1", "delta": {"content": "x"}}, {"index": "0", "delta": {"content": WHOLE}}]}),
        STOP,
        DONE,
    )
    later = [{"index": 1, "delta": {"content": WHOLE}}, {"index": 2, "delta": {"content": "x"}}]
    yield completed("index: several, none of them the first", event({"choices": later}), STOP, DONE)
    decimal = [{"index": 1.0, "delta": {"content": "x"}}, {"index": 0.0, "delta": {"content": WHOLE}}]
    yield completed("index: several, with a point", event({"choices": decimal}), STOP, DONE)
    yield completed(
        "index: several without one",
        event({"choices": [{"delta": {"content": WHOLE}}, {"delta": {"content": "x"}}]}),
        STOP,
        DONE,
    )
    yield body(
        "index: several in JSON",
        encoded(
            {
                "choices": [
                    {"index": 0, "message": MESSAGE, "finish_reason": "stop"},
                    {"index": 1, "message": {"content": "no"}, "finish_reason": "stop"},
                ]
            }
        ),
    )


def messages() -> Iterator[Case]:
    """`message` is used where the delta has nothing, never beside deltas that already said it."""
    repeated = {"index": 0, "finish_reason": "stop", "message": MESSAGE}
    yield completed("message: repeats what deltas said", TEXT, event({"choices": [repeated]}), DONE)
    yield completed(
        "message: repeats it beside an empty delta", TEXT, event({"choices": [{**repeated, "delta": {}}]}), DONE
    )
    yield completed(
        "message: repeats it beside null content",
        TEXT,
        event({"choices": [{**repeated, "delta": {"content": None}}]}),
        DONE,
    )
    yield completed("message: repeats it after the end", TEXT, STOP, event({"choices": [repeated]}), DONE)
    yield completed("message: says all beside an empty delta", event({"choices": [{**repeated, "delta": {}}]}), DONE)
    yield completed(
        "message: beside the delta that says it", event({"choices": [{**repeated, "delta": {"content": WHOLE}}]}), DONE
    )
    yield completed(
        "message: piece by piece", *(event({"choices": [{"message": {"content": p}}]}) for p in PIECES), STOP, DONE
    )
    grown = ["".join(PIECES[: i + 1]) for i in range(len(PIECES))]
    yield completed(
        "message: all so far, each time",
        *(event({"choices": [{"message": {"content": g}}]}) for g in grown),
        STOP,
        DONE,
    )
    yield completed(
        "message: piece by piece, then whole",
        *(event({"choices": [{"message": {"content": p}}]}) for p in PIECES),
        event({"choices": [repeated]}),
        DONE,
    )
    first, news = event({"choices": [{"message": {"content": "Hello"}}]}), said(", wörld 😀")
    yield completed("message: then a delta, then whole", first, news, event({"choices": [repeated]}), DONE)
    both = chunk({"content": WHOLE, "refusal": WHOLE})
    yield completed("message: the same as content and refusal", event(both), STOP, DONE)
    twice = chunk({"content": [{"type": "text", "text": WHOLE, "content": WHOLE}]})
    yield completed("message: the same as text and content", event(twice), STOP, DONE)
    yield completed(
        "message: text of a choice", *(event({"choices": [{"index": 0, "text": p}]}) for p in PIECES), STOP, DONE
    )
    yield completed("message: a refusal", event(chunk({"content": None, "refusal": "No."})), STOP, DONE, text="No.")
    yield body(
        "message: JSON with an empty delta",
        encoded({"choices": [{"delta": {}, "message": MESSAGE, "finish_reason": "stop"}]}),
    )
    yield body(
        "message: JSON with content parts",
        encoded({"choices": [{"message": {"content": [{"type": "text", "text": WHOLE}]}, "finish_reason": "stop"}]}),
    )
    yield body("message: JSON without a finish reason", encoded(answer(None)))
    yield body("message: JSON with a delta", encoded({"choices": [{"delta": MESSAGE, "finish_reason": "stop"}]}))


def halves() -> Iterator[Case]:
    """A high surrogate at the end of a delta waits for its other half."""

    def raw(*contents: bytes) -> list[bytes]:
        return [event(b'{"choices":[{"index":0,"delta":{"content":"' + content + b'"}}]}') for content in contents]

    high, low = rb"\ud83d", rb"\ude00"
    for name, contents, text in [
        ("in two deltas", (b"a" + high, low + b"b"), "a😀b"),
        ("with an empty delta between", (high, b"", low), "😀"),
        ("two in a row", (high, low + high, low), "😀😀"),
        ("never its other half", (b"a" + high, b"b"), "a\ufffdb"),
        ("its other half never came", (b"a" + high,), "a\ufffd"),
        ("a low one alone", (b"a", low + b"b"), "a\ufffdb"),
        ("the wrong way round", (low, high), "\ufffd\ufffd"),
        ("whole", (b"a" + high + low,), "a😀"),
    ]:
        yield completed(f"half: {name}", *raw(*contents), STOP, DONE, text=text)
        yield failed(
            f"half: {name}, then a cut",
            *raw(*contents, b"."),
            text=text.removesuffix("\ufffd") + ("\ufffd." if text.endswith("\ufffd") else "."),
        )
    yield completed(
        "half: then usage, then the other",
        *raw(high),
        event({"choices": [], "usage": USAGE}),
        *raw(low),
        STOP,
        DONE,
        text="😀",
    )
