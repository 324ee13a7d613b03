"""Streams that were right once, and then were dropped from, repeated, reordered, cut, filled with junk, retyped."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Sequence

import httpx2
import pytest

from chatorch.adapters.models.openai.completion import Completion
from chatorch.adapters.models.upstream.deadlines import Deadlines, Watch
from chatorch.domain.model.content import Content
from chatorch.domain.model.upstream_errors import UpstreamError
from chatorch.ports.chat_model import Piece
from tests.support.chat import told
from tests.support.provider_responses import DONE, STOP, chunk, event, said
from tests.support.sizes import size

JUNK = [
    b"data: null\n\n", b"data: ]\n\n", b": ping\n\n", b"data: ping\n\n", b"ping\n", b"\n", b"data:\n\n", b"event: x\n",
    b"data: {bro\n\n", b"data: {}\n\n", b"retry: 1\n", b"error: boom\n\n", b"event: error\n", b"[\n", b"data: [\n\n",
    b"\r", b'{"error": {"message": "x"}}\n', b"\xff\xfe\n", b"data: \\u0000\n\n", b'data: "x"\n\n', b"\r\n",
    b"data: 17\n\n", b'data: {"choices": [{"delta": {"content": null}}]}\n\n', b"<html>\n", b"data: data: {}\n\n",
    b"data: {\n",
]  # fmt: skip
BESIDE: list[dict[str, object]] = [
    {"reasoning_content": "Hm"},
    {"reasoning": "So", "reasoning_content": "So", "content": ""},
    {"reasoning": "Or", "reasoning_details": [{"type": "reasoning.text", "text": "Or", "index": 0, "signature": "s"}]},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]},
    {"annotations": [{"type": "url_citation", "url_citation": {"url": "https://example.com/", "title": "A"}}]},
    {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "weather", "arguments": '{"city"'}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": ': "Rome"}'}}]},
    {"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "other", "arguments": "{}"}}]},
    {"function_call": {"name": "weather", "arguments": "{}"}},
]
VALUES = [
    b"null",
    b"0",
    b"17",
    b"1.5",
    b"true",
    b"false",
    b'""',
    b'"x"',
    b"[]",
    b"{}",
    b'["x"]',
    b'{"a": "b"}',
    b'"\\ud83d"',
    b"1e999",
]
MEMBER = re.compile(
    rb'"(?:id|object|created|model|choices|index|delta|content|finish_reason|usage|reasoning|reasoning_content|text|type'
    rb'|thinking|url|title|name|arguments|signature)": ("[^"]*"|\d+|null)'
)
PIECE = re.compile(r"<\d+>")
ANNOUNCED = re.compile(rb'"finish_reason": "[^"\s]|\[\s*done', re.IGNORECASE)


def correct(chance: random.Random) -> list[bytes]:
    """The events of an ordinary stream; its pieces are all different."""
    pieces = [said(f"<{number}>") for number in range(chance.randint(1, 8))]
    counts = event({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})
    role = event(chunk({"role": "assistant", "content": ""}))
    for _ in range(chance.choice([0, 0, 1, 3])):
        pieces.insert(chance.randint(0, len(pieces)), event(chunk(chance.choice(BESIDE))))
    return [
        role,
        *pieces,
        STOP,
        *([counts] if chance.random() < 0.5 else []),
        *([DONE] if chance.random() < 0.8 else []),
    ]


def mutated(events: Sequence[bytes], chance: random.Random) -> bytes:
    lines = b"".join(events).splitlines(keepends=True)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(lines)) if lines else 0
        match chance.randrange(7):
            case 0:
                del lines[at : at + chance.randint(1, 3)]
            case 1:
                lines[at:at] = lines[at : at + chance.randint(1, 3)]
            case 2:
                other = chance.randrange(len(lines)) if lines else 0
                lines[at : at + 1], lines[other : other + 1] = lines[other : other + 1], lines[at : at + 1]
            case 3:
                return b"".join(lines)[: chance.randrange(sum(map(len, lines)) + 1)]
            case 4:
                lines.insert(at, chance.choice(JUNK))
            case 5:
                lines[at : at + 1] = [_retyped(line, chance) for line in lines[at : at + 1]]
            case 6:
                lines[at : at + 1] = [line[: chance.randrange(len(line) + 1)] for line in lines[at : at + 1]]
    return b"".join(lines)


def _retyped(line: bytes, chance: random.Random) -> bytes:
    members = list(MEMBER.finditer(line))
    if not members:
        return line
    begin, end = chance.choice(members).span(1)
    return line[:begin] + chance.choice(VALUES) + line[end:]


async def heard(reads: Sequence[bytes], content_type: str) -> tuple[str, str]:
    """The text, and ``completed`` or the code of the failure."""

    async def body() -> AsyncIterator[bytes]:
        for read in reads:
            yield read

    watch = Watch(Deadlines())
    completion = Completion(httpx2.Response(200, headers={"content-type": content_type}, content=body()), watch)
    pieces: list[Piece] = []
    try:
        while not completion.over:
            pieces += completion.feed(await completion.read())
        await completion.finish()
    except UpstreamError as failure:
        return shown(pieces + completion.settle(whole=False)).text, failure.code
    finally:
        watch.stop()
    content = shown(pieces + completion.settle(whole=True))
    assert all(part.closed for part in content.parts[1:])
    return content.text, "completed"


def shown(pieces: Sequence[Piece]) -> Content:
    """What they add up to, which must be such as can be stored: one part at a time, and nothing but JSON."""
    content = told(pieces)
    for part in content.parts:
        json.dumps([part.body, dict(part.head), dict(part.result)], allow_nan=False, ensure_ascii=False).encode()
    return content


def line_of_the_last(text: str, stream: bytes) -> int:
    """Where the line begins that brought the last piece of this text; pieces come in the stream's own order."""
    at = 0
    for piece in PIECE.findall(text):
        at = stream.index(piece.encode(), at) + 1
    return max(stream.rfind(b"\n", 0, at), 0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_no_mutation_is_a_fault_or_counts_as_whole_unannounced(seed: int) -> None:
    chance = random.Random(seed)

    async def rounds() -> dict[str, int]:
        ends: dict[str, int] = {}
        for _ in range(size(500, 5000)):
            stream = mutated(correct(chance), chance)
            content_type = chance.choice(["text/event-stream", "application/json", ""])
            text, end = await heard([stream] if stream else [], content_type)
            text.encode()
            ends[end] = ends.get(end, 0) + 1
            if end == "completed":
                assert ANNOUNCED.search(stream, line_of_the_last(text, stream)), (stream, text)
            cuts = sorted(chance.choices(range(len(stream) + 1), k=4))
            reads = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if a < b]
            assert await heard(reads, content_type) == (text, end), (stream, reads)
        return ends

    ends = asyncio.run(rounds())
    assert min(ends["completed"], ends["upstream_invalid"], ends["upstream_error"]) > size(2, 50), ends
