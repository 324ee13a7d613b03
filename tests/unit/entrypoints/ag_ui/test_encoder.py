"""A run over AG-UI: what its client folds of the events is what is stored, wherever it comes in."""

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from chatorch.domain.model.calls import ENDED_WELL, Standing
from chatorch.domain.model.content import START, Content, PartDelta, PartEnded, PartStarted, Snapshot
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId, Usage, UsageSource
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import (
    CancelReason,
    Run,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunInterrupted,
    RunStatus,
    started_event,
)
from chatorch.entrypoints.ag_ui.messages import answer_messages, beside
from chatorch.entrypoints.ag_ui.run_encoder import History, Names, RunEncoder
from chatorch.entrypoints.common.event_encoder import EventFrames
from tests.support.ag_ui import Client, Json, events_in
from tests.support.parts import ANSWER, any_content
from tests.support.sizes import size

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MESSAGE = MessageId("msg_1")
RUN = Run(
    id=RunId("run_1"),
    thread_id=ThreadId("thr_1"),
    owner_id=UserId("usr_1"),
    user_message_id=MessageId("msg_0"),
    message_id=MESSAGE,
    status=RunStatus.STREAMING,
    model="a-model",
    created_at=NOW,
)
NAMES = Names("page-thread", "page-run")
END = RunCompleted(99, MESSAGE, "stop", Usage(7, 5, 12, UsageSource.PROVIDER, 3, 2))
HELLO = {"id": "msg_0", "role": "user", "content": "Hi"}

CONTENTS = [any_content(random.Random(seed)) for seed in range(size(150, 20_000))]


def encoder(frames: EventFrames | None = None) -> RunEncoder:
    return RunEncoder(RUN, NAMES, frames or EventFrames())


def pieces(content: Content, after: int = START, chance: random.Random | None = None) -> Iterator[RunEvent]:
    """What comes after a position, in deltas of any length."""
    for event in content.since(after):
        if not isinstance(event, PartDelta) or chance is None:
            yield event
            continue
        at, begins = 0, event.seq - len(event.text)
        while at < len(event.text):
            text = event.text[at : at + chance.choice([1, 2, 5, 50])]
            at += len(text)
            yield PartDelta(begins + at, text, event.index, event.kind)


def told(encoder: RunEncoder, *events: RunEvent) -> bytes:
    return b"".join(map(encoder.encode, events))


def whole(content: Content, end: RunEvent = END, chance: random.Random | None = None) -> bytes:
    return told(encoder(), started_event(RUN), *pieces(content, chance=chance), end)


def connected(content: Content, cut: int, end: RunEvent = END, history: History | None = None) -> bytes:
    """What a client is told that comes when the run is at `cut`."""
    late = encoder()
    late.history = history or History()
    so_far = content.upto(cut)
    return told(late, started_event(RUN), Snapshot(so_far.tip, so_far), *pieces(content, so_far.tip), end)


def by_id(message: Json) -> str:
    return str(message["id"])


def told_beside(content: Content) -> list[str]:
    return [event["value"]["id"] for frame in beside(MESSAGE, content) for event in events_in(frame)]


@pytest.mark.soak
def test_what_the_client_folds_is_what_is_stored_however_it_was_cut_into_pieces():
    for seed, content in enumerate(CONTENTS):
        client = Client().take(whole(content, chance=random.Random(seed)))
        assert client.messages == answer_messages(MESSAGE, content, ENDED_WELL), content
        assert list(client.told_beside) == told_beside(content)
        assert client.pending == [], "nobody is asked to carry out what nobody asked for"


@pytest.mark.soak
def test_who_connects_at_any_position_holds_the_same_in_the_end():
    for content in CONTENTS[: size(60, 4_000)]:
        stored = answer_messages(MESSAGE, content, ENDED_WELL)
        for cut in range(START, content.tip + 1):
            client = Client([HELLO]).take(connected(content, cut, history=History(before=(HELLO,))))
            assert client.messages == [HELLO, *stored], (content, cut)
            assert list(client.told_beside) == told_beside(content), (content, cut)


@pytest.mark.soak
def test_a_page_that_was_cut_off_at_any_event_and_connects_shows_each_thing_once():
    for content in CONTENTS[: size(20, 1_000)]:
        events = [started_event(RUN), *pieces(content)]
        for seen in range(1, len(events) + 1):
            cut = max(events[seen - 1].seq, START)
            page = Client([HELLO]).take(told(encoder(), *events[:seen]))
            again = Client(page.messages).take(connected(content, cut, history=History(before=(HELLO,))))
            assert again.messages == [HELLO, *answer_messages(MESSAGE, content, ENDED_WELL)]


@pytest.mark.soak
def test_a_snapshot_in_the_middle_replaces_what_was_shown_by_what_is_stored():
    """A follower that saw more than was stored, as after a worker's death."""
    for seed, content in enumerate(CONTENTS[: size(60, 4_000)]):
        chance = random.Random(seed)
        back = content.upto(chance.randint(START, content.tip))
        one = encoder()
        one.history = History(before=(HELLO,))
        heard = told(one, started_event(RUN), *pieces(content), Snapshot(back.tip, back), RunInterrupted(99))
        stored = answer_messages(MESSAGE, back, Standing())
        client = Client([HELLO]).take(heard)
        kept = [m for m in client.messages if m in stored or m["role"] != "reasoning"]
        # The client keeps thoughts that a snapshot without any leaves out; a result may come to stand before one.
        assert sorted(kept, key=by_id) == sorted([HELLO, *stored], key=by_id)


def test_all_who_follow_share_the_frames_of_the_content_and_each_has_its_own_names():
    frames = EventFrames()
    first, late = encoder(frames), RunEncoder(RUN, Names("page-thread", "other-run"), frames)
    events = [started_event(RUN), *pieces(ANSWER), END]
    heard = [[one.encode(event) for one in (first, late)] for event in events]
    assert [one is other for one, other in heard[1:-1]] == [True] * (len(events) - 2)
    assert [events_in(frame)[-1]["runId"] for pair in (heard[0], heard[-1]) for frame in pair] == [
        "page-run", "other-run", "page-run", "other-run",
    ]  # fmt: skip


def test_a_text_is_a_message_of_our_id_between_the_clients_names():
    assert events_in(whole(Content.of("a % b"))) == [
        {
            "type": "RUN_STARTED",
            "threadId": "page-thread",
            "runId": "page-run",
            "protocolVersion": "1.0",
            "metadata": {
                "chatorch": {"run_id": "run_1", "thread_id": "thr_1", "message_id": "msg_1", "model": "a-model"}
            },
        },
        {"type": "TEXT_MESSAGE_START", "messageId": "msg_1", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "msg_1", "delta": "a % b"},
        {"type": "TEXT_MESSAGE_END", "messageId": "msg_1"},
        {
            "type": "RUN_FINISHED",
            "threadId": "page-thread",
            "runId": "page-run",
            "usage": [
                {
                    "model": "a-model",
                    "inputTokens": 7,
                    "outputTokens": 5,
                    "totalTokens": 12,
                    "reasoningTokens": 2,
                    "cachedInputTokens": 3,
                }
            ],
            "metadata": {"chatorch": {"finish_reason": "stop"}},
        },
    ]


def test_thoughts_calls_and_sources_stand_between_the_texts_in_their_order():
    client = Client().take(whole(ANSWER))
    call = {"id": "msg_1.3", "type": "function", "function": {"name": "find", "arguments": '{"a": "é"}'}}
    assert client.messages == [
        {"id": "msg_1", "role": "assistant", "content": "Well, "},
        {"id": "msg_1.1", "role": "reasoning", "content": "Let me see… 🙂"},
        {
            "id": "msg_1.2",
            "role": "assistant",
            "content": "it is 🙂 so",
            "toolCalls": [{**call, "metadata": {"chatorch": {"call_id": "call_1"}}}],
        },
        {
            "id": "msg_1.3.result",
            "role": "tool",
            "toolCallId": "msg_1.3",
            "content": '{"status":"not_executed"}',
            "metadata": {"chatorch": {"status": "not_executed"}},
        },
        {"id": "msg_1.5", "role": "assistant", "content": " and so."},
    ]
    [source] = client.told_beside.values()
    value = {"url": "https://x.example", "title": "日本", "id": "msg_1.4", "messageId": "msg_1.2"}
    assert (source["name"], source["value"]) == ("source", value)


def test_a_source_does_not_break_the_text_that_it_stands_in():
    source = Part(PartKind.SOURCE, {"url": "https://x.example"}, closed=True)
    content = Content((Part(PartKind.TEXT, body="It is "), source, Part(PartKind.TEXT, body="so.")))
    client = Client().take(whole(content))
    assert [message["content"] for message in client.messages] == ["It is so."]


def test_a_call_id_that_a_provider_uses_twice_means_two_calls():
    call = Part(PartKind.TOOL_CALL, {"id": "call_0", "name": "find"}, "{}", closed=True)
    client = Client().take(whole(Content((Part(PartKind.TEXT), call, call))))
    calls = [call for message in client.messages for call in message.get("toolCalls", ())]
    assert [(call["id"], call["function"]["arguments"]) for call in calls] == [("msg_1.1", "{}"), ("msg_1.2", "{}")]


def test_a_call_that_has_a_result_is_told_of_as_answered():
    call = Part(PartKind.TOOL_CALL, {"id": "call_0", "name": "find"}, "{}", closed=True)
    result = Part(PartKind.TOOL_RESULT, {"call_id": "call_0", "status": "completed"}, "42", closed=True)
    client = Client().take(whole(Content((Part(PartKind.TEXT), call, result))))
    [owner, answer] = client.messages
    assert owner["toolCalls"][0]["id"] == answer["toolCallId"]
    assert (answer["content"], answer["metadata"]) == ("42", {"chatorch": {"status": "completed"}})


@pytest.mark.parametrize("kind", [PartKind.TOOL_RESULT, PartKind.DATA])
def test_what_is_told_as_a_whole_costs_no_more_a_piece_the_longer_it_is(kind: PartKind):
    count, part = 60_000, Part(kind, {"call_id": "call_0", "name": "n"})
    one = encoder()
    told(one, started_event(RUN), PartStarted(1, 1, part))
    texts = ['"', *["x" * 20] * count, '"']
    deltas = [PartDelta(1 + 20 * n, text, 1, kind) for n, text in enumerate(texts)]
    began = time.thread_time()
    assert told(one, *deltas) == b""
    assert time.thread_time() - began < 0.6
    assert b"x" * (20 * count) in one.encode(PartEnded(deltas[-1].seq + 1, 1, part))


def test_a_thought_without_a_word_opens_its_span_and_no_message():
    content = Content((Part(PartKind.TEXT), Part(PartKind.REASONING, closed=True), Part(PartKind.TEXT, body="So.")))
    client = Client().take(whole(content))
    assert [(m["id"], m["content"]) for m in client.messages] == [("msg_1", "So.")]
    assert [e["type"] for e in events_in(whole(content))][1:3] == ["REASONING_START", "REASONING_END"]


@pytest.mark.parametrize(
    ("end", "told_as"),
    [
        (RunCancelled(9, CancelReason.USER), ("RUN_FINISHED", {"type": "cancelled"}, None)),
        (RunCancelled(9, CancelReason.DETACHED), ("RUN_ERROR", None, "run_cancelled")),
        (RunCancelled(9, CancelReason.SHUTDOWN), ("RUN_ERROR", None, "run_cancelled")),
        (RunFailed(9, "upstream_error", "It broke.", retryable=True), ("RUN_ERROR", None, "upstream_error")),
        (RunInterrupted(9), ("RUN_ERROR", None, "run_interrupted")),
    ],
)
def test_each_other_end_keeps_the_text_and_says_what_it_was(end: RunEvent, told_as: tuple[object, ...]):
    half = Content((Part(PartKind.TEXT, body="So "), Part(PartKind.REASONING, body="hm")))
    client = Client().take(whole(half, end))
    assert [message["content"] for message in client.messages] == ["So ", "hm"]
    assert not client.open, "a page that waits for the end of a message hears it"
    ended = client.ended
    assert ended is not None
    assert (ended["type"], ended.get("outcome"), ended.get("code")) == told_as
    if ended["type"] == "RUN_ERROR":
        assert ended["message"]


def test_who_may_hear_no_more_is_told_so_unless_it_was_over():
    one = encoder()
    half = told(one, started_event(RUN), PartDelta(4, "So "))
    ended = Client().take(half + one.cut_off()).ended
    assert ended is not None
    assert (ended["type"], ended["code"]) == ("RUN_ERROR", "invalid_token")
    one.encode(END)
    assert one.cut_off() == b""


def test_a_sign_of_life_says_nothing():
    assert events_in(encoder().keep_alive()) == []
