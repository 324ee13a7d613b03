"""What is around and between the chunks: junk, the end, and the form of the body."""

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


def junk() -> Iterator[Case]:
    """What means nothing is dropped; what cannot be read is fatal only where the end was never announced."""
    for word in (
        b"null", b": OPENROUTER PROCESSING", b"]", b"[", b"}", b"{", b",", b"[]", b"{}", b'""', b"ping", b"keep-alive",
        b"[PING]", b"HEARTBEAT", b"0", b"true", b"OPENROUTER PROCESSING", b'"ping"', b'{"type": "ping"}',
        b'{"status": "processing", "message": "..."}',
    ):  # fmt: skip
        name = word.decode()
        yield completed(f"junk: {name} first", event(word), TEXT, STOP, DONE)
        yield completed(f"junk: {name} midway", HELLO, event(word), said(", wörld 😀"), STOP, DONE)
        yield completed(f"junk: {name} before done", TEXT, event(word), DONE)
    for word in (
        b"{bro",
        b'{"choices": [{"delta": {"content": "los',
        b"garbage",
        b"<html>",
        b'{"choices"',
        b"\xff\xfe{",
    ):
        name = word.decode("latin1")
        yield completed(f"junk: {name} after the end", TEXT, STOP, event(word), DONE)
        yield completed(f"junk: {name} after the end, and no more", TEXT, STOP, event(word))
        yield failed(f"junk: {name}, and no end", TEXT, event(word), text=WHOLE)
        if b"{" in word:
            yield failed(f"junk: {name}, then done", TEXT, event(word), DONE, text=WHOLE)
    yield completed("junk: words, then done", TEXT, event(b"garbage"), DONE)
    yield completed("junk: fields that are not known", b"x-id: 7\n\n", TEXT, b'meta: {"a": 1}\n\n', STOP, DONE)
    for name, lines in {
        "a bare object over several lines": json.dumps(chunk({"content": " lost"}), indent=1).encode() + b"\n\n",
        "a name that is broken": b"dta: " + encoded(chunk({"content": " lost"})) + b"\n\n",
    }.items():
        yield completed(f"junk: {name} says what it says", HELLO, lines, STOP, DONE, text="Hello lost")
    for name, lines in {
        "a field without its colon": b"data " + encoded(chunk({"content": " lost"})) + b"\n\n",
        "the rest of a line": encoded(chunk({"content": " lost"}))[60:] + b"\n\n",
        "a name and data in one line": b"event: message data: " + encoded(chunk({"content": " lost"})) + b"\n\n",
        "an object that breaks off": b'{\n "choices": [\n\n',
    }.items():
        yield failed(f"junk: {name} loses text", HELLO, lines, STOP, DONE)
    yield completed("junk: words, and an announced end", HELLO, event(b"garbage"), said(", wörld 😀"), STOP, DONE)
    yield failed(
        "junk: a broken chunk midway",
        HELLO,
        event(b'{"choices": [{"delta": {"content": "los'),
        said(" more"),
        STOP,
        DONE,
    )
    yield completed("junk: lines that are no fields", HELLO, b"ping\n\nhello there\n\n", said(", wörld 😀"), STOP, DONE)


def ends() -> Iterator[Case]:
    """`[DONE]` in any case, quoted, with spaces."""
    for done in (
        b"[DONE] ",
        b" [DONE]",
        b'"[DONE]"',
        b"'[DONE]'",
        b"[done]",
        b"[Done]",
        b"[ DONE ]",
        b"\t[DONE]\t",
        b'"[done]" ',
    ):
        yield completed(f"done: {done!r}", TEXT, event(done))
        yield completed(f"done: {done!r} after a finish reason", TEXT, STOP, event(done))
        yield completed(f"done: nothing counts after {done!r}", TEXT, event(done), said("more"), event({"error": "no"}))
    yield completed("done: without a blank line", TEXT, b"data: [DONE]")
    yield completed("done: without the space", TEXT, b"data:[DONE]\n")
    yield completed("done: bare", TEXT, STOP, b"[DONE]\n\n")
    yield failed("done: no choice ever", DONE, text="")


def framings() -> Iterator[Case]:
    """The first bytes say what it is, whatever the content type says."""
    chunks = [chunk({"content": piece}) for piece in PIECES] + [chunk({}, "stop")]
    lines = [encoded(value) for value in chunks]
    stream = TEXT + STOP + DONE
    for content_type in (
        JSON, "text/html", "text/plain; charset=utf-8", "application/octet-stream", None, "", "TEXT/EVENT-STREAM",
        "text/event-stream, text/event-stream", "application/stream+json", "application/json; charset=utf-8",
        "application/x-ndjson", "image/png",
    ):  # fmt: skip
        yield body(f"framing: events as {content_type}", stream, content_type)
        yield body(f"framing: JSON as {content_type}", encoded(answer()), content_type)
        yield body(f"framing: JSON lines as {content_type}", b"\n".join(lines) + b"\n", content_type)
    yield body("framing: JSON behind a BOM", b"\xef\xbb\xbf" + encoded(answer()))
    yield body("framing: events behind a BOM", b"\xef\xbb\xbf" + stream, SSE)
    yield body("framing: events behind blank lines", b"\r\n\r\n \n" + stream, None)
    yield body("framing: JSON over many lines", json.dumps(answer(), indent=2).encode())
    yield body("framing: JSON over many lines as events", json.dumps(answer(), indent=2).encode(), SSE)
    yield body("framing: JSON, then done", encoded(answer()) + b"\n\n" + DONE)
    yield body("framing: JSON over many lines, then done", json.dumps(answer(None), indent=1).encode() + b"\n\n" + DONE)
    yield body("framing: JSON in brackets", b"[" + encoded(answer()) + b"]")
    yield body("framing: chunks in one list", b"[" + b",\n".join(lines) + b"]")
    yield body("framing: JSON lines without the last end", b"\r\n".join(lines), "application/jsonl")
    yield body("framing: JSON lines, then done", b"\n".join(lines) + b"\ndata: [DONE]\n")
    yield body("framing: JSON lines with blank ones", b"\n\n".join(lines))
    yield body(
        "framing: events in one JSON string each",
        b"".join(event(json.dumps(line.decode()).encode()) for line in lines) + DONE,
        SSE,
    )
    yield body("framing: data twice", b"".join(event(b"data: " + line) for line in lines) + DONE, SSE)
    yield body("framing: no blank lines", b"".join(b"data: %b\n" % line for line in lines) + b"data: [DONE]\n", SSE)
    yield body("framing: no blank lines, CRLF", b"".join(b"data: %b\r\n" % line for line in lines), SSE)
    yield body(
        "framing: names between, no blank lines",
        b"".join(b"event: message\nid: 1\ndata: %b\n" % line for line in lines),
        SSE,
    )
    yield body(
        "framing: two objects in one event", event(lines[0] + lines[1]) + event(lines[2] + b" " + lines[3]) + DONE, SSE
    )
    yield body("framing: three objects, with commas", event(b",".join(lines[:3])) + STOP, SSE)
    yield body("framing: an object and done in one event", TEXT + event(lines[3] + b"\ndata: [DONE]"), SSE)
    yield body(
        "framing: an object over several data lines",
        b"".join(
            b"data: " + json.dumps(value, indent=1).encode().replace(b"\n", b"\ndata: ") + b"\n\n" for value in chunks
        ),
        SSE,
    )
    yield body(
        "framing: an object over several lines",
        b"".join(b"data: " + json.dumps(value, indent=1).encode() + b"\n\n" for value in chunks),
        SSE,
    )
    yield body("framing: two spaces", b"".join(b"data:  %b\n\n" % line for line in lines) + b"data:  [DONE]\n\n", SSE)
    yield body(
        "framing: raw line breaks in a string",
        event(b'{"choices": [{"delta": {"content": "a\tb"}}]}') + STOP,
        SSE,
        text="a\tb",
    )
    yield body("framing: CR alone", stream.replace(b"\n", b"\r"), SSE)
    yield body(
        "framing: bare JSON between events", HELLO + encoded(chunk({"content": ", wörld 😀"})) + b"\n\n" + STOP, SSE
    )
    for name, kib in [("9", 9), ("33", 33), ("63", 63)]:
        yield body(f"framing: a header of {name} KiB", stream, SSE, "x-big: " + "a" * kib * 1024)
    for data in (b"<html>no</html>", b"", b"Bad Gateway", b"{}", b"[]", b'{"choices": []}', b"null", b'"ok"'):
        for content_type in (JSON, SSE, "text/html", None):
            yield Case(f"no answer: {data!r} as {content_type}", response(data, content_type), "failed", "")
    yield Case("cut: JSON", response(encoded(answer())[:60], JSON, length=400), "failed", "")
    yield Case("cut: JSON, cleanly", response(encoded(answer())[:60], JSON), "failed", "")
    yield Case("cut: JSON lines", response(lines[0] + b"\n" + lines[1][:70], JSON), "failed", "Hello")
    yield Case("cut: JSON lines, between two", response(lines[0] + b"\n", JSON), "failed", "Hello")
    yield Case("cut: events", response(TEXT[:-20]), "failed", "Hello, wörld")
