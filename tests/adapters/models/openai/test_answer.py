"""What chunks add up to."""

import json
import time
from typing import Any

import pytest

from chatorch.adapters.models.openai.answer import Answer
from chatorch.domain.model.conversation import Usage, UsageSource
from chatorch.domain.model.upstream_errors import UpstreamError, UpstreamInvalid
from tests.support.chat import told


def choice(content: object = None, reason: object = None, index: object = 0, **delta: object) -> bytes:
    said = {"content": content, **delta}
    return json.dumps({"choices": [{"index": index, "delta": said, "finish_reason": reason}]}).encode()


def taken(*payloads: bytes | dict[str, Any]) -> tuple[str, Answer]:
    answer = Answer()
    pieces = answer.take([p if isinstance(p, bytes) else json.dumps(p).encode() for p in payloads])
    return told(pieces).text, answer


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (choice("a"), "a"),
        (choice(None), ""),
        (choice("", role="assistant"), ""),
        (choice(None, refusal="No."), "No."),
        (choice("b", index=1), "b"),
        (choice("a", index=None), "a"),
        (b'{"choices": 3}', ""),
        (b'{"choices": [{"delta": {"content": 5}}]}', "5"),
        (b'{"choices": []}', ""),
        (b'{"choices": null, "usage": null}', ""),
        (b'{"choices": [{"index": 0}]}', ""),
        (b'{"id": "x", "something": {"new": [1e999, 1]}}', ""),
        (b'{"choices": [{"delta": {"content": "a"}}]}', "a"),
        ('{"choices": [{"delta": {"content": "é😀"}}]}'.encode(), "é😀"),
        (rb'{"choices": [{"delta": {"content": "\ud83d\ude00"}}]}', "😀"),
    ],
)
def test_the_text_of_a_chunk_is_the_first_choices(payload: bytes, text: str) -> None:
    heard, answer = taken(payload)
    assert heard == text
    assert answer.failure is None


_CLOSING = [
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    {"choices": [{"delta": {"content": " end"}, "finish_reason": "length"}], "usage": {"total_tokens": 7}},
    {"choices": [{"delta": {"content": "", "reasoning": "so"}, "finish_reason": "tool_calls"}]},
    {"choices": [{"delta": {"content": "a\0b"}, "finish_reason": "stop"}]},
    {"choices": [{"delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 2, "total_tokens": 5}}]},
    {"choices": [{"delta": {}, "finish_reason": "stop", "error": {"message": "overloaded"}}]},
    {"choices": [{"message": {"content": "all"}, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [{"delta": {"tool_calls": [{"id": "c", "function": {"name": "f"}}]}, "finish_reason": "tool_calls"}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}], "citations": ["https://example.org/"]},
    {"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}},
    {"choices": [], "usage": {"prompt_tokens": 2}, "error": {"message": "no"}},
    {"choices": [], "usage": None, "x_groq": {"usage": {"prompt_tokens": 2}}},
    {"choices": [], "usage": {"prompt_tokens": "many"}},
]


@pytest.mark.parametrize("chunk", _CLOSING, ids=json.dumps)
@pytest.mark.parametrize("before", [[], [choice("text")], [choice(None, reasoning="hm")], [choice("t", "stop")]])
@pytest.mark.parametrize("after", [[], [choice("more")]])
def test_what_closes_an_answer_means_the_same_whichever_way_it_is_read(
    chunk: dict[str, Any], before: list[bytes], after: list[bytes]
) -> None:
    heard = []
    # A member that is no JSON to strict readers leads past all short cuts.
    for payload in (json.dumps(chunk), json.dumps({**chunk, "strange": float("nan")})):
        answer = Answer()
        pieces = [*answer.take(before), *answer.take([payload.encode(), *after]), *answer.release()]
        try:
            told_at_the_end: object = answer.finish()
        except UpstreamError as error:
            told_at_the_end = str(error)
        failure = answer.failure and (type(answer.failure), answer.failure.detail)
        heard.append((pieces, answer.announced, answer.over, failure, answer.dropped, told_at_the_end))
    assert heard[0] == heard[1]


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (rb'{"choices": [{"delta": {"content": "a\u0000b"}}]}', "a\ufffdb"),
        (rb'{"choices": [{"delta": {"content": "a\ud800b"}}]}', "a\ufffdb"),
        (rb'{"choices": [{"delta": {"content": "\ude00"}}]}', "\ufffd"),
        (rb'{"choices": [{"delta": {"content": "\u0000\ud83d."}}]}', "\ufffd\ufffd."),
        (rb'{"choices": [{"delta": {"refusal": "\ud83dx"}}]}', "\ufffdx"),
        (b'{"choices": [{"delta": {"content": "a\xffb"}}]}', "a\ufffdb"),
    ],
)
def test_what_cannot_be_stored_is_replaced(payload: bytes, text: str) -> None:
    heard, answer = taken(payload)
    assert heard == text
    assert answer.failure is None


@pytest.mark.parametrize(
    "payload",
    [
        b"{bro",
        b'{"choices": [{"delta": {"content": "half',
        b'{"choices": [{"delta": {"content": "a"}}]} {"choices"',
        pytest.param(b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep"),
    ],
)
def test_a_broken_chunk_is_invalid_and_the_text_before_it_counts(payload: bytes) -> None:
    text, answer = taken(choice("before"), payload, choice("after"))
    assert text.startswith("before")
    assert not text.endswith("after")
    assert answer.over
    assert isinstance(answer.failure, UpstreamInvalid)
    assert answer.failure.__context__ is None


def test_the_finish_reason_and_the_usage_may_come_apart_or_together() -> None:
    counts = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    apart = taken(choice("a"), choice(None, "length"), {"choices": [], "usage": counts}, b"[DONE]")[1].finish()
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}], "usage": counts}
    together = taken(choice("a"), last)[1].finish()
    assert apart == together
    assert apart.reason == "length"
    assert apart.usage == Usage(2, 3, 5, UsageSource.PROVIDER)


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": 2, "completion_tokens": None}, 2),
        ({"prompt_tokens": 2, "completion_tokens": 3}, 5),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": 2**70}, None),
        ({"prompt_tokens": 3.0, "completion_tokens": 4}, 7),
        ({"prompt_tokens": "three"}, None),
        (["three"], None),
        ("three", None),
    ],
)
def test_a_usage_that_makes_no_sense_counts_as_none(usage: object, total: int | None) -> None:
    finish = taken({"choices": [{"index": 0, "finish_reason": "stop"}], "usage": usage})[1].finish()
    assert (finish.usage and finish.usage.total_tokens) == total


@pytest.mark.parametrize(
    ("said", "cached", "reasoned"),
    [
        ({}, 0, 0),
        ({"prompt_tokens_details": {"cached_tokens": 3}}, 3, 0),
        ({"completion_tokens_details": {"reasoning_tokens": 4}, "prompt_tokens_details": None}, 0, 4),
        ({"prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 2}, 5, 0),
        ({"prompt_cache_hit_tokens": 5, "prompt_tokens_details": {"cached_tokens": 5}}, 5, 0),
        ({"prompt_tokens_details": {"cached_tokens": 0}, "cached_tokens": 6}, 6, 0),
        ({"cached_tokens": 6, "reasoning_tokens": 7}, 6, 7),
        ({"cache_read_input_tokens": 8, "output_tokens_details": {"reasoning_tokens": 9.0}}, 8, 9),
        ({"prompt_tokens_details": {"cached_tokens": -1}, "completion_tokens_details": ["x"]}, 0, 0),
        ({"cached_tokens": 2**70, "reasoning_tokens": "many"}, 0, 0),
        ({"cached_tokens": True, "reasoning_tokens": None}, 0, 0),
    ],
)
def test_of_the_tokens_some_were_cached_and_some_were_reasoning(
    said: dict[str, Any], cached: int, reasoned: int
) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30, **said}
    finish = taken({"choices": [{"index": 0, "finish_reason": "stop"}], "usage": usage})[1].finish()
    assert finish.usage == Usage(10, 20, 30, UsageSource.PROVIDER, cached_tokens=cached, reasoning_tokens=reasoned)


def test_done_without_a_finish_reason_counts_as_stop() -> None:
    assert taken(choice("a"), b"[DONE]")[1].finish().reason == "stop"


@pytest.mark.parametrize(
    "payloads", [[], [b"[DONE]"], [choice("a")], [choice("a", "")], [b'{"choices": []}', b"[DONE]"]]
)
def test_an_end_that_was_not_announced_is_invalid(payloads: list[bytes]) -> None:
    answer = taken(*payloads)[1]
    with pytest.raises(UpstreamInvalid):
        answer.finish()


def test_nothing_counts_after_done() -> None:
    assert taken(choice("a", "stop"), b"[DONE]", choice("b"))[0] == "a"


@pytest.mark.parametrize(
    "said", ["\0", "x" * 33, "sk-canary-0123456789", "what you said", "\ud800", "a\nb", "\x1b[31m", "_"]
)
def test_a_finish_reason_that_is_no_word_is_not_repeated(said: str) -> None:
    """A provider may put the key there, or the question: clients, the store and the log have it."""
    assert taken(choice(None, said))[1].finish().reason == "other"


@pytest.mark.parametrize("said", ["stop", "length", "content_filter", "COMPLETE", "end-turn", " stop "])
def test_a_finish_reason_is_a_word_as_sent(said: str) -> None:
    assert taken(choice(None, said))[1].finish().reason == said.strip()


def test_an_error_object_ends_the_answer_and_its_words_stay_out() -> None:
    text, answer = taken(choice("a"), {"error": {"message": "secret words", "type": "server_error"}})
    assert text == "a"
    assert type(answer.failure) is UpstreamError
    assert "secret" not in repr(answer.failure)


@pytest.mark.parametrize(
    "payload",
    [b"[" + b"1," * 500_000 + b"1]", b"{}" * 500_000, b"[" * 10**6, b"x " * 500_000, b'{"a":' * 200_000, b'"' * 10**6,
     b"[ " * 500_000, b"'\" " * 300_000, b"data:" * 200_000, b"[ done" * 160_000],
    ids=lambda payload: payload[:8].decode(),
)  # fmt: skip
def test_a_payload_that_was_made_to_be_slow_is_not(payload: bytes) -> None:
    began = time.process_time()
    taken(payload)
    assert time.process_time() - began < 1


REPORTS = ("error", "errors", "error_code", "error_msg", "error_message", "base_resp", "status", "type", "x_groq")


@pytest.mark.parametrize("place", ["chunk", "choice", "delta"])
@pytest.mark.parametrize("name", [*REPORTS, "index", "usage", "logprobs", "text", "object"])
@pytest.mark.parametrize(
    "value", ["failed", "error", 500, {"error": "x"}, {"code": 500}, {"status_code": 7}, [{"a": 1}]]
)
def test_the_short_way_of_reading_misses_nothing_that_the_long_one_finds(place: str, name: str, value: object) -> None:
    said: dict[str, Any] = {"content": "a"}
    choice_of: dict[str, Any] = {"index": 0, "delta": said, "finish_reason": None}
    whole: dict[str, Any] = {"object": "chat.completion.chunk", "choices": [choice_of]}
    {"chunk": whole, "choice": choice_of, "delta": said}[place][name] = value
    quickly, slowly = taken(whole), taken({**whole, "x_groq": {}})
    assert quickly[0] == slowly[0]
    if name != "x_groq":
        assert type(quickly[1].failure) is type(slowly[1].failure)
