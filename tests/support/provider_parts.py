"""Reasoning, sources and tool calls, in the forms in which providers send them, and the parts that they must become."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from chatorch.domain.model.content import Content

Outline = list[Any]
"""A part a line: its kind, its body where it has one or could, its head, its result."""

URL = "https://example.com/a"
URL_2 = "https://example.com/b"


@dataclass(frozen=True)
class PartsCase:
    name: str
    payloads: tuple[bytes, ...]
    outline: Outline


def delta(reason: str | None = None, **said: object) -> bytes:
    choice = {"index": 0, "delta": said, "finish_reason": reason}
    return json.dumps({"object": "chat.completion.chunk", "choices": [choice]}).encode()


def top(**members: object) -> bytes:
    choice = {"index": 0, "delta": {"content": members.pop("content", "")}, "finish_reason": None}
    return json.dumps({"object": "chat.completion.chunk", "choices": [choice], **members}).encode()


def message(**said: object) -> bytes:
    whole = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": "stop"}
    return json.dumps({"object": "chat.completion", "choices": [whole]}).encode()


STOP = delta("stop")
DONE = b"[DONE]"


def outline_of(content: Content) -> Outline:
    """The parts that can be seen, an empty first one left out."""
    return [_line_of(part.kind.value, part.head, part.body, part.result) for _, part in content.shown()]


def _line_of(kind: str, *said: Any) -> tuple[Any, ...]:
    return (kind, *(each for each in said if each))


def case(name: str, payloads: Sequence[bytes], *outline: Any) -> PartsCase:
    return PartsCase(name, (*payloads, STOP, DONE), list(outline))


def whole(name: str, payload: bytes, *outline: Any) -> PartsCase:
    return PartsCase(name, (payload,), list(outline))


HM = ("reasoning", "Hm, so")
HELLO = ("text", "Hello there")
TEXT = (delta(content="Hello"), delta(content=" there"))


def reasoning() -> Iterator[PartsCase]:
    for member in ("reasoning_content", "reasoning", "thinking", "reasoning_text"):
        pieces = [delta(**{"content": None, member: "Hm,"}), delta(**{"content": "", member: " so"})]
        yield case(f"{member}, piece by piece", [delta(role="assistant", content=""), *pieces, *TEXT], HM, HELLO)
        yield whole(f"{member} of a whole message", message(content="Hello there", **{member: "Hm, so"}), HM, HELLO)
    both = [delta(reasoning=r, reasoning_content=r) for r in ("Hm,", " so")]
    yield case("two members with the same text", [*both, *TEXT], HM, HELLO)
    yield case("in one chunk with the text", [delta(reasoning="Hm, so", content="Hello there")], HM, HELLO)
    yield case("an object", [delta(reasoning={"content": "Hm,"}), delta(reasoning={"text": " so"}), *TEXT], HM, HELLO)
    yield case("a list", [delta(reasoning_content=[{"type": "text", "text": "Hm, so"}]), *TEXT], HM, HELLO)
    yield case("a number that the text looked like", [delta(reasoning_content=42), *TEXT], ("reasoning", "42"), HELLO)
    yield case("nothing", [delta(reasoning=None, reasoning_content="", reasoning_details=[]), *TEXT], HELLO)
    yield case("no words", [delta(reasoning=True, reasoning_content={}, thinking=[]), *TEXT], HELLO)
    mistral = [{"type": "thinking", "thinking": [{"type": "text", "text": t}]} for t in ("Hm,", " so")]
    closed = {"type": "thinking", "thinking": [], "closed": True}
    yield case("Mistral", [*(delta(content=[m]) for m in mistral), delta(content=[closed]), *TEXT], HM, HELLO)
    yield whole(
        "Mistral, a whole message", message(content=[*mistral, {"type": "text", "text": "Hello there"}]), HM, HELLO
    )
    signed = {"type": "thinking", "thinking": "Hm, so", "signature": "c2ln"}
    kept = {"details": [{"type": "thinking", "signature": "c2ln"}]}
    text = {"type": "text", "text": "Hello there"}
    yield whole("Anthropic's thinking", message(content=[signed, text]), (*HM, kept), HELLO)
    redacted = {"type": "redacted_thinking", "data": "ZGF0YQ"}
    yield whole(
        "Anthropic's thinking that is not for reading",
        message(content=[redacted, text, redacted]),
        HELLO,
        ("reasoning", {"details": [redacted]}),
    )
    other = {"type": "thinking", "thinking": "Or?", "signature": "Mg"}
    two = {"details": [{"type": "thinking", "signature": "Mg"}]}
    yield whole(
        "two blocks of thinking", message(content=[signed, other, text]), (*HM, kept), ("reasoning", "Or?", two), HELLO
    )
    summary = {"type": "summary_text", "text": "Hm, so", "signature": "c2ln"}
    kept = {"details": [{"type": "reasoning", "signature": "c2ln"}]}
    yield whole("Databricks", message(content=[{"type": "reasoning", "summary": [summary]}, text]), (*HM, kept), HELLO)
    blocks = [{"type": "thinking", "thinking": t, "signature": None} for t in ("Hm,", " so")]
    last = {"type": "thinking", "thinking": "", "signature": "c2ln"}
    kept = {"details": [{"type": "thinking", "signature": "c2ln"}]}
    pieces = [delta(reasoning_content=b["thinking"], thinking_blocks=[b]) for b in blocks]
    yield case("LiteLLM", [*pieces, delta(thinking_blocks=[last]), *TEXT], (*HM, kept), HELLO)
    thought = {"google": {"thought": True}}
    yield case("Gemini", [delta(content=t, extra_content=thought) for t in ("Hm,", " so")] + [*TEXT], HM, HELLO)
    tagged = [delta(content="<thought>Hm,", extra_content=thought), delta(content=" so", extra_content=thought)]
    yield case("Gemini, with tags", [*tagged, delta(content="</thought>Hello"), TEXT[1]], HM, HELLO)
    yield case("tags in the text", [delta(content="<think>Hm</think>Hello")], ("text", "<think>Hm</think>Hello"))
    yield whole(
        "a whole message that repeats what deltas said",
        delta(reasoning="Hm, so") + delta(content="Hello there") + message(content="Hello there", reasoning="Hm, so"),
        HM,
        HELLO,
    )
    grown = [message(content="", reasoning_content="Hm,"), message(content="", reasoning_content="Hm, so")]
    yield PartsCase(
        "messages that grow", (*grown, message(content="Hello there", reasoning_content="Hm, so"), DONE), [HM, HELLO]
    )


def details() -> Iterator[PartsCase]:
    """OpenRouter's list, and who writes it like that."""

    def detail(kind: str, index: int = 0, **said: object) -> dict[str, object]:
        return {"type": f"reasoning.{kind}", "format": "f-v1", "index": index, **said}

    def beside(text: str) -> bytes:
        return delta(content="", reasoning=text, reasoning_details=[detail("text", text=text)])

    yield case("beside the same text", [beside("Hm,"), beside(" so"), *TEXT], HM, HELLO)
    signature = delta(content="", reasoning=None, reasoning_details=[detail("text", signature="c2ln")])
    kept = {"details": [detail("text", signature="c2ln")]}
    yield case("then a signature", [beside("Hm,"), beside(" so"), signature, *TEXT], (*HM, kept), HELLO)
    alone = [delta(content="", reasoning_details=[detail("text", text=t)]) for t in ("Hm,", " so")]
    yield case("without a string beside it", [*alone, *TEXT], HM, HELLO)
    twice = [delta(content="", reasoning_details=[detail("text", text=t)]) for t in ("ha", "ha", " ha")]
    yield case("the same piece twice", [*twice, *TEXT], ("reasoning", "haha ha"), HELLO)
    grown = [
        delta(content="", reasoning_details=[detail("text", text=t)]) for t in ("Hm,", "Hm, s", "Hm, so", "Hm, so")
    ]
    yield case("all so far, each time", [*grown, *TEXT], HM, HELLO)
    summary = [delta(reasoning=t, reasoning_details=[detail("summary", summary=t)]) for t in ("Hm,", " so")]
    sealed = detail("encrypted", data="ZGF0YQ==", id="rs_1")
    kept = {"details": [detail("summary"), sealed]}
    yield case(
        "a summary, and what is encrypted",
        [*summary, delta(reasoning_details=[sealed]), *TEXT],
        (*HM, kept),
        HELLO,
    )
    late = [*summary, *TEXT, delta(reasoning_details=[sealed])]
    yield case("encrypted, after the text began", late, HM, HELLO, ("reasoning", {"details": [sealed]}))
    whole_at_last = delta(reasoning_details=[detail("text", text="Hm, so", signature="c2ln")])
    kept = {"details": [detail("text", signature="c2ln")]}
    yield case(
        "all of it again at the end", [delta(reasoning="Hm,"), delta(reasoning=" so"), whole_at_last, *TEXT],
        (*HM, kept), HELLO,
    )  # fmt: skip
    first = detail("text", text="Hm, so", signature="MQ")
    second = detail("text", 1, text="Or?", signature="Mg")
    yield whole(
        "two blocks in a whole message",
        message(content="Hello there", reasoning="Hm, soOr?", reasoning_details=[first, second]),
        (*HM, {"details": [detail("text", signature="MQ")]}),
        ("reasoning", "Or?", {"details": [detail("text", 1, signature="Mg")]}),
        HELLO,
    )
    yield case("a detail that is none", [delta(reasoning_details=[None, 3, {}, []]), *TEXT], HELLO)


def order() -> Iterator[PartsCase]:
    """Between kinds, and what nobody could see."""
    hm, blank = delta(reasoning="Hm, so"), delta(content="\n\n")
    yield case("a blank before the text", [hm, blank, *TEXT], HM, ("text", "\n\nHello there"))
    yield case("a blank, and no text", [hm, blank], HM)
    yield case("a blank within reasoning", [delta(reasoning="Hm,"), blank, delta(reasoning=" so"), *TEXT], HM,
               ("text", "\n\nHello there"))  # fmt: skip
    yield case("a blank of reasoning in the text", [TEXT[0], delta(reasoning="\n"), TEXT[1]], HELLO)
    yield case("nothing but blanks", [blank, blank], ("text", "\n\n\n\n"))
    yield case("a blank first of all", [blank, hm, *TEXT], ("text", "\n\n"), HM, HELLO)
    yield case("reasoning between texts", [*TEXT, hm, *TEXT], HELLO, HM, HELLO)
    yield case("reasoning alone", [hm], HM)
    turns = [delta(reasoning="a"), delta(content="b"), delta(reasoning="c"), delta(content="d")]
    yield case("in turn", turns, ("reasoning", "a"), ("text", "b"), ("reasoning", "c"), ("text", "d"))


def halves() -> Iterator[PartsCase]:
    """Half characters, and NUL."""
    high, low = "\ud83d", "\ude00"
    yield case("in two pieces", [delta(reasoning="a" + high), delta(reasoning=low + "b")], ("reasoning", "a😀b"))
    yield case("never the other", [delta(reasoning="a" + high), *TEXT], ("reasoning", "a\ufffd"), HELLO)
    yield case("only half", [delta(reasoning=high), delta(content=low)], ("text", "\ufffd"))
    yield case(
        "of the text, with reasoning between", [delta(content="a" + high), delta(reasoning="c"), delta(content=low)],
        ("text", "a"), ("reasoning", "c"), ("text", "😀"),
    )  # fmt: skip
    yield case(
        "of the text, and the other never", [delta(content=high), delta(reasoning="c")],
        ("reasoning", "c"), ("text", "\ufffd"),
    )  # fmt: skip
    yield case("NUL", [delta(reasoning_content="a\0"), delta(reasoning_content="\0b")], ("reasoning", "a\ufffd\ufffdb"))
    unclean = {"type": "thinking\0", "data": ["\ud800", {"\0": "x\udc00"}]}
    cleaned = {"type": "thinking\ufffd", "data": ["\ufffd", {"\ufffd": "x\ufffd"}]}
    yield case("in a detail", [delta(reasoning="a", reasoning_details=[unclean])],
               ("reasoning", "a", {"details": [cleaned]}))  # fmt: skip
    piece = {"index": 0, "id": "\0i\ud800", "function": {"name": "n\0", "arguments": '{"a":"' + high}}
    rest = {"index": 0, "function": {"arguments": low + '\0"}'}}
    yield case(
        "in a call", [delta(tool_calls=[piece]), delta(tool_calls=[rest])],
        ("tool_call", {"id": "\ufffdi\ufffd", "name": "n\ufffd"}, '{"a":"😀\ufffd"}'),
    )  # fmt: skip
    source = {"type": "url_citation", "url_citation": {"url": URL, "title": "a\0\ud800"}}
    yield case("in a source", [*TEXT, delta(annotations=[source])], HELLO,
               ("source", {"url": URL, "title": "a\ufffd\ufffd"}))  # fmt: skip
