"""Positions, and what a stored run still has to say from any of them."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.domain.model.content import PIECE_CHARS, Content, PartDelta, Snapshot
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId, Usage, UsageSource
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.run import (
    EPOCH_SPAN,
    TERMINAL_EVENTS,
    CancelReason,
    Outcome,
    Run,
    RunCancelled,
    RunCompleted,
    RunError,
    RunEvent,
    RunFailed,
    RunInterrupted,
    RunStarted,
    RunStatus,
    started_event,
    terminal_event,
)
from chatorch.domain.model.transcript import replay

USAGE = Usage(3, 4, 7, UsageSource.PROVIDER)
LIVE = Run(
    id=RunId("run_1"),
    thread_id=ThreadId("thr_1"),
    owner_id=UserId("usr_1"),
    user_message_id=MessageId("msg_1"),
    message_id=MessageId("msg_2"),
    status=RunStatus.STREAMING,
    model="a-model",
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
)
ENDS = [
    Outcome(RunStatus.COMPLETED, "length", USAGE),
    Outcome(RunStatus.FAILED, error=RunError("upstream_timeout", "Too slow.", retryable=True)),
    Outcome(RunStatus.CANCELLED, cancel_reason=CancelReason.DETACHED),
    Outcome(RunStatus.INTERRUPTED),
]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
gaps = st.sampled_from([1, EPOCH_SPAN])


def position_after(text: str) -> int:
    return Content.of(text).tip


def live(text: str) -> Run:
    return replace(LIVE, content=Content.of(text), seq=position_after(text))


def ended(text: str, end: Outcome, gap: int = 1) -> Run:
    seq = position_after(text) + gap
    return replace(LIVE, content=Content.of(text), seq=seq, status=end.status, outcome=end)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """A run at any stage."""
    text = draw(texts)
    end = draw(st.sampled_from([None, *ENDS]))
    return live(text) if end is None else ended(text, end, draw(gaps))


def text_of_a_client(before: str, events: list[RunEvent]) -> str:
    """The one rule of every client: a delta appends, a snapshot replaces."""
    for event in events:
        match event:
            case PartDelta():
                before += event.text
            case Snapshot():
                before = event.content.text
    return before


@given(runs(), st.integers(0, 45))
def test_text_before_a_cut_and_what_replay_sends_are_the_stored_text(run: Run, cut: int):
    cut = min(cut, len(run.text))
    events = list(replay(run, position_after(run.text[:cut])))
    assert text_of_a_client(run.text[:cut], events) == run.text
    assert not any(isinstance(event, Snapshot | RunStarted) for event in events)


@given(runs())
def test_a_replay_from_the_start_is_the_start_then_all_text_then_the_end(run: Run):
    started, *others = replay(run, 0)
    assert started == started_event(run)
    assert text_of_a_client("", others) == run.text
    assert sum(isinstance(event, TERMINAL_EVENTS) for event in others) == (not run.status.live)


@given(runs(), st.integers(0, 60))
def test_positions_only_rise(run: Run, after: int):
    positions = [after, *(event.seq for event in replay(run, after))]
    # A snapshot takes a client that is ahead of the text back to it.
    assert all(a < b for a, b in pairwise(positions)) or after > position_after(run.text)


@given(runs(), st.integers(0, 60))
def test_a_resume_after_any_event_sends_exactly_what_followed_it(run: Run, after: int):
    events = list(replay(run, after))
    for index, event in enumerate(events):
        assert list(replay(run, event.seq)) == events[index + 1 :]


LONG = "😀é\n" * 3000
EDGES = sorted({0, 1, len(LONG), *(at + by for at in range(0, len(LONG), PIECE_CHARS) for by in (-1, 0, 1, 2) if at)})


@pytest.mark.parametrize("cut", EDGES)
@pytest.mark.parametrize("run", [live(LONG), ended(LONG, ENDS[0])])
def test_a_long_text_comes_in_pieces_from_any_position(run: Run, cut: int):
    events = list(replay(run, position_after(LONG[:cut])))
    assert text_of_a_client(LONG[:cut], events) == LONG
    deltas = [event for event in events if isinstance(event, PartDelta)]
    assert all(0 < len(delta.text) <= PIECE_CHARS for delta in deltas)
    assert all(LONG[: delta.seq - 1].endswith(delta.text) for delta in deltas)


def test_whoever_must_begin_anew_is_told_a_long_text_in_pieces_from_its_beginning():
    run = ended(LONG, ENDS[-1], EPOCH_SPAN)
    snapshot, *others = replay(run, position_after(LONG) + 5)
    assert snapshot == Snapshot(1 + PIECE_CHARS, Content.of(LONG[:PIECE_CHARS]))
    assert text_of_a_client("another text", [snapshot, *others]) == LONG
    assert others == list(replay(run, snapshot.seq))


@given(texts, st.sampled_from(ENDS), gaps, st.integers(0, 3))
def test_a_client_that_has_the_end_hears_nothing_more(text: str, end: Outcome, gap: int, beyond: int):
    run = ended(text, end, gap)
    assert list(replay(run, run.seq + beyond)) == []


@given(texts, texts.filter(bool), st.sampled_from(ENDS))
def test_a_client_that_saw_more_than_was_stored_gets_a_snapshot_and_the_end(saved: str, lost: str, end: Outcome):
    run = ended(saved, end, EPOCH_SPAN)
    events = list(replay(run, position_after(saved + lost)))
    assert [type(event) for event in events] == [Snapshot, type(terminal_event(run))]
    assert text_of_a_client(saved + lost, events) == saved


def test_a_client_ahead_of_a_live_run_waits():
    assert list(replay(live("Hel"), position_after("Hello"))) == []


def test_a_queued_run_has_only_started():
    assert list(replay(replace(LIVE, status=RunStatus.QUEUED), 0)) == [
        RunStarted(1, LIVE.thread_id, LIVE.message_id, "a-model")
    ]


def test_a_position_counts_code_points():
    assert position_after("") == 1
    assert position_after("añ🔑") == 4


@pytest.mark.parametrize(
    ("end", "event"),
    [
        (ENDS[0], RunCompleted(4, LIVE.message_id, "length", USAGE)),
        (ENDS[1], RunFailed(4, "upstream_timeout", "Too slow.", retryable=True)),
        (ENDS[2], RunCancelled(4, CancelReason.DETACHED)),
        (ENDS[3], RunInterrupted(4)),
        (Outcome(RunStatus.CANCELLED), RunCancelled(4, CancelReason.USER)),
        (Outcome(RunStatus.COMPLETED, usage=USAGE), RunCompleted(4, LIVE.message_id, "stop", USAGE)),
    ],
)
def test_an_ended_row_is_its_terminal_event(end: Outcome, event: RunEvent):
    assert terminal_event(ended("Hi", end)) == event


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED])
def test_a_row_without_what_belongs_to_its_end_is_an_error(status: RunStatus):
    with pytest.raises(ValueError, match="run_1"):
        terminal_event(ended("Hi", Outcome(status)))


def test_only_queued_and_streaming_runs_are_live():
    assert {status for status in RunStatus if status.live} == {RunStatus.QUEUED, RunStatus.STREAMING}
