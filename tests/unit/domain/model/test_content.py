"""Parts, their positions, and the one fold over them: before a cut and after it are together what is stored."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatorch.domain.model.content import (
    PIECE_CHARS,
    START,
    Content,
    ContentEvent,
    Draft,
    PartDelta,
    PartEnded,
    PartStarted,
    Snapshot,
    fresher,
)
from chatorch.domain.model.part_pieces import assembled, pieces
from chatorch.domain.model.parts import Part, PartKind
from tests.support.sizes import size

bodies = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
facts = st.dictionaries(st.sampled_from(["id", "name", "url"]), bodies, max_size=2)


@st.composite
def contents(draw: st.DrawFn, most: int = 6) -> Content:
    """Any content, whose last part may be open."""
    parts = [Part(PartKind.TEXT, body=draw(bodies))]
    count = draw(st.integers(0, most))
    for number in range(count):
        closed = number < count - 1 or draw(st.booleans())
        kind = draw(st.sampled_from(list(PartKind)))
        parts.append(Part(kind, draw(facts), draw(bodies), draw(facts) if closed else {}, closed))
    return Content(tuple(parts))


def told(events: list[ContentEvent], before: Content | None = None) -> Content:
    draft = Draft(before)
    for event in events:
        draft.apply(event)
    return draft.content()


@settings(deadline=None, max_examples=size(50, 1000))
@given(contents())
def test_for_every_cut_what_came_before_and_what_follows_are_what_is_stored(content: Content):
    for cut in range(START, content.tip + 1):
        before = content.upto(cut)
        assert before.tip == cut
        assert told(list(content.since(cut)), before) == content


@given(contents())
def test_no_two_facts_share_a_position_and_none_is_empty(content: Content):
    one_by_one = [event for at in range(START, content.tip) for event in [next(content.since(at))]]
    assert len(one_by_one) == content.tip - START
    whole = list(content.since(START))
    assert [event.seq for event in whole] == sorted({event.seq for event in whole})
    assert whole == [] or whole[-1].seq == content.tip
    facts_told = sum(len(event.text) if isinstance(event, PartDelta) else 1 for event in whole)
    assert facts_told == content.tip - START


@given(bodies)
def test_a_content_of_text_only_lies_at_one_and_its_length(text: str):
    content = Content.of(text)
    assert content.tip == 1 + len(text)
    assert list(content.since(START)) == ([PartDelta(1 + len(text), text)] if text else [])
    assert (content.text, content.text_only, list(content.shown())) == (
        text,
        True,
        [(0, content.parts[0])][: len(text)],
    )


@given(contents())
def test_the_joined_text_is_that_of_the_text_parts(content: Content):
    assert content.text == "".join(part.body for part in content.parts if part.kind is PartKind.TEXT)


@settings(deadline=None, max_examples=size(30, 500))
@given(contents(), st.randoms(use_true_random=False))
def test_a_draft_that_grows_in_pieces_says_the_same_as_one_that_is_whole(content: Content, random_: random.Random):
    draft = Draft()
    positions = [START]
    for event in content.since(START):
        if isinstance(event, PartDelta):
            text = event.text
            while text:
                size = random_.randint(1, len(text))
                draft.append(text[:size])
                text = text[size:]
                positions.append(draft.tip)
        else:
            draft.apply(event)
            positions.append(draft.tip)
        assert draft.content() == content.upto(draft.tip)
        for after in positions:
            so_far = draft.content()
            follower = Draft(so_far.upto(after))
            while (following := draft.next_after(follower.tip)) is not None:
                follower.apply(following)
            assert follower.content() == so_far
    assert (draft.tip, draft.text()) == (content.tip, content.text)


@given(contents(), st.integers(1, 3))
def test_positions_of_a_later_epoch_are_moved_and_no_more(content: Content, epochs: int):
    base = epochs * 2**32
    draft, plain = Draft(content, base), Draft(content)
    assert draft.tip == base + content.tip
    at = START
    while (event := plain.next_after(at)) is not None:
        moved = draft.next_after(base + at)
        assert moved is not None
        assert (type(moved), moved.seq) == (type(event), base + event.seq)
        at = event.seq


@settings(deadline=None, max_examples=size(50, 1000))
@given(contents(), st.lists(st.integers(0, 90), max_size=5))
def test_what_is_saved_in_pieces_is_put_together_again(content: Content, cuts: list[int]):
    """However often it is saved, and however often a save is tried again with more."""
    rows: dict[tuple[int, int], object] = {}
    saved = START
    for cut in [*sorted({min(START + cut, content.tip) for cut in cuts}), content.tip]:
        so_far = content.upto(cut)
        unheard = content.upto(max(saved, cut - 3))
        for attempt in (unheard, so_far):
            rows |= {(piece.index, piece.start): piece for piece in pieces(attempt, saved)}
            assert assembled(attempt.text, [rows[place] for place in sorted(rows)]) == attempt
        saved = cut
    if content.text_only:
        assert rows == {}


def test_a_long_body_is_told_in_pieces_in_every_kind_of_part():
    long = "😀é\n" * 3000
    content = Content(
        (
            Part(PartKind.TEXT, body=long),
            Part(PartKind.REASONING, {}, long, {}, closed=True),
            Part(PartKind.TEXT, {}, long),
        )
    )
    events = list(content.since(START))
    deltas = [event for event in events if isinstance(event, PartDelta)]
    assert max(len(delta.text) for delta in deltas) == PIECE_CHARS
    assert told(events) == content
    assert {(delta.index, delta.kind) for delta in deltas} == {
        (0, PartKind.TEXT), (1, PartKind.REASONING), (2, PartKind.TEXT),
    }  # fmt: skip


def test_a_snapshot_replaces_all_that_was_there():
    content = Content((Part(PartKind.TEXT), Part(PartKind.REASONING, {}, "Hm", {}, closed=True)))
    draft = Draft(Content.of("something else"))
    draft.apply(Snapshot(2**32 + content.tip, content))
    assert (draft.content(), draft.base, draft.tip) == (content, 2**32, 2**32 + content.tip)


def test_a_head_costs_one_each_code_point_one_and_an_end_one():
    content = Content(
        (Part(PartKind.TEXT, body="ab"), Part(PartKind.REASONING, {}, "cde", {"details": []}, closed=True))
    )
    assert [type(event) for event in content.since(3)] == [PartStarted, PartDelta, PartEnded]
    assert [event.seq for event in content.since(3)] == [4, 7, 8]


def test_only_one_part_is_open_at_a_time():
    draft = Draft()
    draft.start(PartKind.REASONING)
    with pytest.raises(ValueError, match="open"):
        draft.start(PartKind.TEXT)
    draft.end()
    with pytest.raises(ValueError, match="not open"):
        draft.end()
    with pytest.raises(ValueError, match="between"):
        draft.append("x")
    with pytest.raises(ValueError, match="not open"):
        Draft().end()


@given(contents(), contents())
def test_of_two_copies_the_one_with_the_greater_tip_wins(one: Content, other: Content):
    assert fresher(one, other).tip == max(one.tip, other.tip)
    assert fresher(one, one) is one
