"""What a run tells, as a client of any door makes it out: exact from every position, under every epoch."""

import json
import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chatorch.domain.model.calls import ENDED_WELL
from chatorch.domain.model.content import PIECE_CHARS, START, Content, Draft, PartDelta, Snapshot
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import (
    EPOCH_SPAN,
    INTERRUPTED,
    CancelReason,
    Outcome,
    Run,
    RunEvent,
    RunStatus,
    end_seq,
    started_event,
)
from chatorch.domain.model.transcript import Transcript, replay
from chatorch.entrypoints.common.envelope import envelope
from chatorch.entrypoints.common.parts import parts_view
from tests.support.event_reader import Screen
from tests.support.parts import ANSWER, LETTERS
from tests.support.sizes import size

CANCELLED = Outcome(RunStatus.CANCELLED, cancel_reason=CancelReason.USER)
LONG = Content(
    (
        Part(PartKind.TEXT, {}, "a🙂" * 3000),
        Part(PartKind.REASONING, {}, "é" * (3 * PIECE_CHARS), {"details": []}, closed=True),
        Part(PartKind.TOOL_CALL, {"id": "c", "name": "n"}, '{"a": "' + "b" * 9000 + '"}', closed=True),
        Part(PartKind.SOURCE, {"url": "https://x.example"}, closed=True),
        Part(PartKind.TEXT, {}, "!" * PIECE_CHARS),
    )
)


HEADS = {
    PartKind.TEXT: {},
    PartKind.REASONING: {},
    PartKind.TOOL_CALL: {"id": "call_1", "name": "find"},
    PartKind.SOURCE: {"url": "https://x.example/é?a=1", "title": "日"},
    PartKind.FILE: {"file_id": "file_1", "name": "a.txt", "media_type": "text/plain", "size": 3},
    PartKind.TOOL_RESULT: {"call_id": "call_2", "status": "failed"},
}
BODIES = (PartKind.TEXT, PartKind.REASONING, PartKind.TOOL_CALL, PartKind.TOOL_RESULT)


def any_message(chance: random.Random) -> Content:
    """Of parts as providers and tools make them; the last may be open."""

    def said() -> str:
        return "".join(chance.choices(LETTERS, k=chance.choice([0, 1, 3, 12])))

    parts = [Part(PartKind.TEXT, {}, said())]
    count = chance.choice([0, 1, 2, 3, 5])
    for number in range(count):
        kind = chance.choice(list(HEADS))
        closed = number < count - 1 or chance.random() < 0.5
        parts.append(Part(kind, HEADS[kind], said() if kind in BODIES else "", {}, closed))
    return Content(tuple(parts))


def run_of(content: Content, *, epoch: int = 1, outcome: Outcome = CANCELLED) -> Run:
    ids = (RunId("run_1"), ThreadId("thr_1"), UserId("usr_1"), MessageId("msg_q"), MessageId("msg_1"))
    now = datetime(2026, 1, 2, tzinfo=UTC)
    seq = end_seq(epoch, content)
    return Run(*ids, outcome.status, "m", now, epoch, seq, content, now, outcome)


def shown(events: list[RunEvent], screen: Screen | None = None) -> Screen:
    screen = screen or Screen()
    screen.show([json.loads(envelope(RunId("run_1"), event)) for event in events])
    return screen


def before(content: Content, base: int, cut: int) -> Screen:
    """A client that was cut off right at a position."""
    run = run_of(content.upto(cut))
    screen = shown([replace(started_event(run), seq=base + START)])
    return shown([replace(event, seq=event.seq + base) for event in content.upto(cut).since(START)], screen)


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_for_every_cut_a_client_has_in_the_end_all_parts_that_are_stored(epoch: int):
    chance = random.Random(epoch)
    for content in [ANSWER, Content.of("Hi 🙂"), Content(), *(any_message(chance) for _ in range(size(20, 500)))]:
        run = run_of(content, epoch=epoch)
        assert shown(list(replay(run, 0))).parts == parts_view(content, ENDED_WELL)
        for cut in range(START, content.tip + 1):
            screen = shown(list(replay(run, run.base + cut)), before(content, run.base, cut))
            assert (screen.parts, screen.text, screen.snapshots) == (
                parts_view(content, ENDED_WELL),
                content.text,
                0,
            ), (
                content,
                cut,
            )
        assert list(replay(run, run.seq)) == []


def test_whoever_stands_in_an_earlier_epoch_begins_anew_with_a_snapshot_beyond_it():
    chance = random.Random(7)
    for content in [ANSWER, Content.of("Hi"), Content(), *(any_message(chance) for _ in range(size(20, 500)))]:
        run = run_of(content, epoch=2)
        heard = any_message(chance)  # what the executor before had said, stored or not
        for cut in {START, heard.tip, chance.randint(START, heard.tip)}:
            events = list(replay(run, cut))
            assert isinstance(events[0], Snapshot)
            assert events[0].seq > EPOCH_SPAN
            screen = shown(events, before(heard, 0, cut))
            assert (screen.parts, screen.text, screen.snapshots) == (parts_view(content, ENDED_WELL), content.text, 1)


def test_a_client_of_an_earlier_epoch_follows_one_that_grows():
    draft = Draft(ANSWER.upto(9), base=EPOCH_SPAN)
    growing = Transcript(started_event(run_of(ANSWER, epoch=2)), draft)
    first = growing.next_after(30)
    assert first == Snapshot(EPOCH_SPAN + 9, ANSWER.upto(9))
    assert growing.next_after(EPOCH_SPAN + 9) is None
    screen = shown([first], before(ANSWER, 0, 30))
    position = first.seq
    for event in ANSWER.since(9):
        draft.apply(replace(event, seq=event.seq + EPOCH_SPAN))
        told = growing.next_after(position)
        assert told is not None
        shown([told], screen)
        position = told.seq
    assert (screen.parts, screen.position) == (parts_view(ANSWER, ENDED_WELL), EPOCH_SPAN + ANSWER.tip)


@pytest.mark.parametrize("content", [ANSWER, *(ANSWER.upto(cut) for cut in range(START, ANSWER.tip))])
def test_what_was_open_when_its_worker_died_stays_and_the_end_lies_beyond_it(content: Content):
    """Whoever finds it abandoned raises the epoch, and adds nothing but the end."""
    run = run_of(content, epoch=2, outcome=INTERRUPTED)
    assert run.base == 0
    for cut in {START, (START + content.tip) // 2, content.tip}:
        screen = shown(list(replay(run, cut)), before(content, 0, cut))
        assert (screen.parts, screen.snapshots) == (parts_view(content, ENDED_WELL), 0)
        assert [end["type"] for end in screen.terminals] == ["run.interrupted"]
        assert screen.position > EPOCH_SPAN
    ahead = shown(list(replay(run, content.tip + 5)), before(Content.of("x" * 99), 0, 99))
    assert (ahead.parts, ahead.snapshots) == (parts_view(content, ENDED_WELL), 1)


def test_large_bodies_come_in_pieces_and_so_does_a_snapshot():
    run = run_of(LONG)
    for after in (0, START, 5000, 6001, 6002, 6003, 9999, LONG.tip - 1):
        events = list(replay(run, after))
        assert max(len(event.text) for event in events if isinstance(event, PartDelta)) <= PIECE_CHARS
        screen = shown(events, before(LONG, 0, after) if after else None)
        assert screen.parts == parts_view(LONG, ENDED_WELL)
    taken_over = run_of(LONG, epoch=2)
    first, *others = replay(taken_over, 77)
    assert isinstance(first, Snapshot)
    assert (first.content.weight, first.seq) == (PIECE_CHARS, EPOCH_SPAN + START + PIECE_CHARS)
    assert not any(isinstance(event, Snapshot) for event in others)
    assert shown([first, *others], before(LONG, 0, 77)).parts == parts_view(LONG, ENDED_WELL)


def test_a_snapshot_of_many_parts_is_no_larger_either():
    """A thousand sources with long addresses are a megabyte, which many clients take in no single frame."""
    source = {"url": "https://x.example/" + "a" * 900}
    thoughts = [Part(PartKind.REASONING, closed=True)] * 300
    sources = [Part(PartKind.SOURCE, source, closed=True)] * 300
    for parts in (thoughts, sources, [Part(PartKind.SOURCE, {"url": "b" * 9000}, closed=True)] * 3):
        content = Content((Part(PartKind.TEXT, {}, "Hi"), *parts))
        events = list(replay(run_of(content, epoch=2), 77))
        assert max(len(envelope(RunId("run_1"), event)) for event in events[:1]) < 3 * PIECE_CHARS
        screen = shown(events, before(LONG, 0, 77))
        assert (screen.parts, screen.snapshots) == (parts_view(content, ENDED_WELL), 1)
