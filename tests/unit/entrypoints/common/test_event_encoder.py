"""A dialect from outside: its frames depend on what is open, and it marks its end."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import pytest

from chatorch.domain.model.content import PIECE_CHARS, PartDelta, PartEnded, PartStarted
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId, Usage, UsageSource
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import SILENCE, TERMINAL_EVENTS, RunCompleted, RunEvent, RunStarted, Silence
from chatorch.entrypoints.common.event_encoder import EventEncoder, EventFrames
from chatorch.entrypoints.common.sse import AT_ONCE, EventStream, SseEncoder

RUN = RunId("run_1")
THOUGHT = Part(PartKind.REASONING)
EVENTS: tuple[RunEvent, ...] = (
    RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "toy"),
    PartStarted(2, 1, THOUGHT),
    PartDelta(4, "hm", 1, PartKind.REASONING),
    PartEnded(5, 1, THOUGHT),
    PartDelta(7, "so", 2),
    PartDelta(8, "!", 2),
    RunCompleted(9, MessageId("msg_1"), "stop", Usage(1, 1, 2, UsageSource.ESTIMATED)),
)


class ToyEncoder(EventEncoder):
    """Says nothing of starts; whatever comes first in a block opens it."""

    def __init__(self, encoded: list[RunEvent]) -> None:
        self._encoded = encoded

    def encode(self, event: RunEvent) -> bytes:
        self._encoded.append(event)
        match event:
            case PartDelta():
                opens = b"" if self.state == event.index else b"<%d>" % event.index
                self.state = event.index
                return opens + event.text.encode()
            case _ if isinstance(event, TERMINAL_EVENTS):
                return b"." if self.state is None else b"</%d>." % self.state
        return b""

    def keep_alive(self) -> bytes:
        return b"~"

    def end(self) -> bytes:
        return b"[DONE]"


def told(encoder: EventEncoder, events: Iterable[RunEvent]) -> bytes:
    return b"".join(map(encoder.encode, events)) + encoder.end()


def test_all_who_stand_at_the_same_place_share_a_frame():
    encoded: list[RunEvent] = []
    frames = EventFrames()
    followers = [frames.shared(RUN, ToyEncoder(encoded)) for _ in range(100)]
    heard = [b"".join(heard) for heard in zip(*([f.encode(e) for f in followers] for e in EVENTS), strict=True)]
    assert set(heard) == {told(ToyEncoder([]), EVENTS).removesuffix(b"[DONE]")} == {b"<1>hm<2>so!</2>."}
    assert encoded == list(EVENTS)


def test_who_comes_later_is_told_what_depends_on_its_own_past():
    encoded: list[RunEvent] = []
    frames = EventFrames()
    first, later = (frames.shared(RUN, ToyEncoder(encoded)) for _ in range(2))
    told(first, EVENTS[:6])
    assert [first.encode(PartDelta(9, "?", 2)), later.encode(EVENTS[5])] == [b"?", b"<2>!"]
    end = EVENTS[6]
    assert [first.encode(end), later.encode(end)] == [b"</2>.", b"</2>."]
    assert encoded.count(end) == 1  # they stand at one place again


def test_runs_share_nothing_and_what_nobody_follows_is_forgotten():
    encoded: list[RunEvent] = []
    frames = EventFrames()
    followers = [frames.shared(RunId(f"run_{n}"), ToyEncoder(encoded)) for n in range(2)]
    assert [follower.encode(EVENTS[4]) for follower in followers] == [b"<2>so", b"<2>so"]
    assert len(encoded) == 2
    del followers
    assert not frames._latest


def test_our_own_dialect_depends_on_the_event_alone():
    frames = EventFrames()
    early, late = (frames.shared(RUN, SseEncoder(RUN)) for _ in range(2))
    told(early, EVENTS[:4])
    assert early.encode(EVENTS[4]) is late.encode(EVENTS[4])
    assert told(late, EVENTS) == b"".join(map(SseEncoder(RUN).encode, EVENTS))


async def test_a_stream_speaks_the_dialect_that_it_is_given():
    async def events() -> AsyncGenerator[RunEvent | Silence]:
        for event in EVENTS[:-1]:
            yield event
        yield SILENCE
        yield EVENTS[-1]

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    encoder = EventFrames().shared(RUN, ToyEncoder([]))
    await EventStream(events(), encoder, ping_after_s=0).pump(send)
    bodies = [message["body"] for message in sent]
    assert bodies[-2] == b"~"
    # What it has no words for shows nothing but that the run goes on
    assert [body for body in bodies if body != b"~"] == [b"<1>hm", b"<2>so", b"!", b"</2>.[DONE]"]
    assert [message["more_body"] for message in sent] == [True] * (len(sent) - 1) + [False]


@pytest.mark.parametrize(("after_s", "pings"), [(0, 40), (9, 0)])
async def test_what_a_dialect_has_no_words_for_shows_that_the_run_goes_on(after_s: float, pings: int):
    async def events() -> AsyncGenerator[RunEvent | Silence]:
        for _ in range(40):
            yield EVENTS[0]
        yield EVENTS[-1]

    sent: list[bytes] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["body"])

    await EventStream(events(), ToyEncoder([]), ping_after_s=after_s).pump(send)
    assert sent == [b"~"] * pings + [b".[DONE]"]


@pytest.mark.parametrize("taken", range(1, len(EVENTS) + 1))
async def test_a_stream_that_goes_on_from_events_that_were_taken_says_the_same(taken: int):
    async def events() -> AsyncGenerator[RunEvent | Silence]:
        for event in EVENTS[taken:]:
            yield event

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await EventStream(events(), ToyEncoder([]), begun=EVENTS[:taken]).pump(send)
    assert b"".join(message["body"] for message in sent) == told(ToyEncoder([]), EVENTS)
    assert [message["more_body"] for message in sent] == [True] * (len(sent) - 1) + [False]


@pytest.mark.parametrize("heard", [b"x", b""])
async def test_others_have_their_turns_while_what_is_stored_is_told(heard: bytes):
    """To a client that takes it as fast as it comes, or that has all of it."""

    class Plain(ToyEncoder):
        def encode(self, event: RunEvent) -> bytes:
            turns.append(turn)
            return heard

    parts = [PartStarted(0, 1, THOUGHT), PartEnded(0, 1, THOUGHT)] * 40

    async def events() -> AsyncGenerator[RunEvent | Silence]:
        for event in (*[PartDelta(0, "x" * PIECE_CHARS)] * 10, *parts):
            yield event
        yield EVENTS[-1]

    async def others() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def send(message: dict[str, Any]) -> None: ...

    turn = 0
    turns: list[int] = []
    task = asyncio.create_task(others())
    await EventStream(events(), Plain([])).pump(send)
    task.cancel()
    assert len(set(turns)) >= 10 + 80 // AT_ONCE


def test_two_dialects_of_one_run_share_nothing():
    frames = EventFrames()
    toy, ours = frames.shared(RUN, ToyEncoder([])), frames.shared(RUN, SseEncoder(RUN))
    assert toy.encode(EVENTS[4]) == b"<2>so"
    assert ours.encode(EVENTS[4]) == SseEncoder(RUN).encode(EVENTS[4])
