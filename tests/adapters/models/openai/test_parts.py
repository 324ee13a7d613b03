"""What an answer says beside its text becomes parts: reasoning, sources, tool calls."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatorch.adapters.models.openai.answer import Answer
from chatorch.adapters.models.upstream.sse import PayloadParser
from chatorch.domain.model.content import Content
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.upstream_errors import UpstreamInvalid
from chatorch.ports.chat_model import PartEnd, PartStart, Piece
from tests.support.chat import told
from tests.support.provider_calls import ARGUMENTS, call, calls, entry, sources
from tests.support.provider_parts import (
    STOP,
    URL,
    PartsCase,
    delta,
    details,
    halves,
    order,
    outline_of,
    reasoning,
)
from tests.support.sizes import size

CASES = [case for kind in (reasoning, details, order, halves, calls, sources) for case in kind()]


def heard(payloads: tuple[bytes, ...], *, together: bool = False) -> Content:
    """What they add up to; closed, as it is before the finish."""
    answer = Answer()
    pieces: list[Piece] = []
    for some in [list(payloads)] if together else [[payload] for payload in payloads]:
        pieces += answer.take(some)
    answer.finish()
    content = told(pieces + answer.settle(whole=True))
    assert all(part.closed for part in content.parts[1:])
    json.dumps([dict(part.head) | dict(part.result) for part in content.parts], allow_nan=False).encode()
    return content


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_provider_sends_becomes_parts(case: PartsCase) -> None:
    content = heard(case.payloads)
    assert outline_of(content) == case.outline
    assert heard(case.payloads, together=True) == content
    "".join(part.body for part in content.parts).encode()


def streamed(*payloads: bytes) -> tuple[list[Piece], Answer]:
    answer = Answer()
    return [piece for payload in payloads for piece in answer.take([payload])], answer


def test_pieces_are_told_as_they_come() -> None:
    answer = Answer()
    entries = [entry("", id="c1", name="weather"), entry('{"city"'), entry(': "Rome"}')]
    come = [delta(reasoning="Hm"), delta(reasoning="."), delta(content="Hi"), *(delta(tool_calls=[e]) for e in entries)]
    assert [answer.take([payload]) for payload in come] == [
        [PartStart(PartKind.REASONING), "Hm"],
        ["."],
        [PartEnd(), PartStart(PartKind.TEXT), "Hi"],
        [],
        [PartEnd(), PartStart(PartKind.TOOL_CALL, {"id": "c1", "name": "weather"}), '{"city"'],
        [': "Rome"}'],
    ]


def test_what_broke_off_leaves_its_last_part_open_and_what_was_held_back_is_told() -> None:
    pieces, answer = streamed(delta(reasoning="Hm"))
    content = told(pieces + answer.settle(whole=False))
    assert [part.closed for part in content.parts] == [False, False]
    cut = [delta(tool_calls=[entry('{"city"', id="c1", name="weather")]), delta(content="Hello")]
    pieces, answer = streamed(*cut)
    content = told(pieces + answer.settle(whole=False))
    assert outline_of(content) == [call('{"city"'), ("text", "Hello")]
    assert [part.closed for part in content.parts] == [False, True, False]


def test_what_comes_for_a_call_that_has_ended_is_counted_as_dropped() -> None:
    ended = entry(ARGUMENTS, id="c1", name="weather")
    pieces, answer = streamed(*(delta(tool_calls=[e]) for e in (ended, entry("{}", index=1, name="b"), entry("{}"))))
    assert answer.dropped == 1
    assert told(pieces).parts[1].body == ARGUMENTS


@pytest.mark.parametrize(
    "payload",
    [
        delta(reasoning_details=[{"type": "reasoning.encrypted", "data": "x" * 100_000}]),
        delta(annotations=[{"url_citation": {"url": f"https://example.com/{n}"}} for n in range(1000)]),
        delta(tool_calls=[{"index": n, "id": str(n), "function": {"name": "n" * 100}} for n in range(1000)]),
        delta(tool_calls=[entry(name="n" * 100_000)]),
        delta(reasoning="a", content=" " * 100_000),
    ],
    ids=lambda payload: payload[80:110].decode(),
)
def test_no_more_is_held_back_than_may_be(payload: bytes) -> None:
    answer = Answer()
    answer.take([delta(tool_calls=[entry("{", index="open", id="open", name="open")])])
    for n in range(10_000):
        answer.take(
            [payload.replace(b"example.com/", b"example.com/%d/" % n).replace(b'"index": ', b'"index": %d' % n)]
        )
        if answer.over:
            break
    assert isinstance(answer.failure, UpstreamInvalid)
    assert n < 100


@pytest.mark.parametrize(
    "payload",
    [
        delta(reasoning_details={"a": {"b": None}}, thinking=[[[[]]]]),
        json.dumps({"choices": [{"delta": {"annotations": [[]] * 20_000, "content": "a"}}]}).encode(),
        b'{"choices":[{"delta":{"reasoning_details":' + b"[" * 900 + b"]" * 900 + b"}}]}",
        b'{"choices":[{"delta":{"reasoning_details":[{"data":' + b'{"a":' * 400 + b"1" + b"}" * 400 + b"}]}}]}",
        b'{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"arguments":'
        + b"[" * 400 + b"1e999" + b"]" * 400 + b"}}]}}]}",
        b'{"choices":[{"delta":{"reasoning_details":[{"type":"x","data":[1e999,' + b"9" * 4000 + b",true,null]}]}}]}",
    ],
    ids=lambda payload: payload[:60].decode(),
)  # fmt: skip
def test_what_is_deep_or_strange_costs_no_text_around_it(payload: bytes) -> None:
    text = heard((delta(content="before "), payload, delta(content="after"), STOP)).text
    assert text in {"before after", "before aafter"}  # one of them says "a" itself


KINDS = st.sampled_from(["content", "reasoning", "reasoning_content", "both", "call 0", "call 1", "source", "nothing"])
WORDS = st.text(st.sampled_from("ab \n\0é😀\ud83d\ude00"), max_size=4)


@settings(deadline=None, max_examples=size(60, 5000))
@given(st.lists(st.tuples(KINDS, WORDS), max_size=12), st.data())
def test_whatever_is_interleaved_nothing_is_lost_and_one_part_is_open(
    said: list[tuple[str, str]], data: st.DataObject
) -> None:
    opened: set[str] = set()

    def payload(kind: str, words: str) -> bytes:
        match kind.split():
            case ("both",):
                return delta(reasoning=words, reasoning_content=words)
            case "call", number:
                name = None if kind in opened else f"tool {number}"
                opened.add(kind)
                return delta(tool_calls=[entry(words, index=int(number), id=name and f"c{number}", name=name)])
            case ("source",):
                return delta(annotations=[{"type": "url_citation", "url": URL}])
            case ("nothing",):
                return delta(content="", reasoning=None)
            case _:
                return delta(**{kind: words})

    def of(*kinds: str) -> str:
        return "".join(words for kind, words in said if kind in kinds)

    payloads = (*(payload(kind, words) for kind, words in said), STOP)
    content = heard(payloads)
    bodies = {kind: [part for part in content.parts if part.kind is kind] for kind in PartKind}
    assert same(content.text, of("content"))
    assert same("".join(part.body for part in bodies[PartKind.REASONING]), of("reasoning", "reasoning_content", "both"))
    for part in bodies[PartKind.TOOL_CALL]:
        assert same(part.body, of(f"call {part.head['name'][-1]}"))
    assert len(bodies[PartKind.TOOL_CALL]) == len(opened)
    assert len(bodies[PartKind.SOURCE]) == any(kind == "source" for kind, _ in said)
    lines = b"".join(b"data: " + each + b"\n\n" for each in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(lines)), max_size=6)))
    reads = [lines[a:b] for a, b in pairwise([0, *cuts, len(lines)]) if a < b]
    parser = PayloadParser(events=True)
    assert heard(tuple(each for read in reads for each in parser.feed(read))) == content


def same(heard: str, sent: str) -> bool:
    """Whether it is what was sent, but for halves of characters, NUL, and blanks that were shown nowhere."""
    return words_of(heard) == words_of(sent)


def words_of(text: str) -> str:
    return "".join(char for char in text if char in "abé")
