"""An answer in chunks, as a client adds them up: whatever it is cut into, and whatever is told once more."""

import random

import pytest

from chatorch.domain.model.content import START, Content, PartDelta, Snapshot
from chatorch.domain.model.run import (
    EPOCH_SPAN,
    CancelReason,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunInterrupted,
)
from chatorch.entrypoints.common.event_encoder import EventFrames
from chatorch.entrypoints.openai.chat_completions.chunks import ChunkEncoder
from tests.support.openai_chunks import RUN, STARTED, USAGE, Shown, completed, events, shown, wanted
from tests.support.parts import ANSWER, any_content
from tests.support.sizes import size


def test_chunks_add_up_to_what_the_answer_is_whole():
    chance = random.Random(1)
    for content in [ANSWER, *(any_content(chance) for _ in range(size(300, 5000)))]:
        heard = shown([STARTED, *events(content, chance=chance), completed(content)])
        assert heard.message == wanted(content)
        assert heard.finish_reasons == ["stop"]
        assert heard.done
        assert heard.chunks[0]["choices"][0]["delta"]["role"] == "assistant"


def test_for_every_position_what_is_told_once_more_is_not_sent_again():
    chance = random.Random(2)
    base = EPOCH_SPAN
    for content in [ANSWER, *(any_content(chance) for _ in range(size(40, 500)))]:
        for cut in range(START, content.tip + 1):
            kept = chance.randint(START, content.tip)
            snapshot = Snapshot(base + kept, content.upto(kept))
            before = events(content.upto(cut), chance=chance)
            after = events(content, kept, base, chance)
            heard = shown([STARTED, *before, snapshot, *after, completed(content, base=base)])
            assert (heard.message, heard.error) == (wanted(content), None), (content, cut, kept)
            assert heard.done


def test_two_snapshots_in_a_row_and_one_that_comes_first():
    content = Content.of("Hello, world")
    first, second = (Snapshot(n * EPOCH_SPAN + 4, content.upto(4)) for n in (1, 2))
    rest = [*events(content, 4, 2 * EPOCH_SPAN), completed(content, base=2 * EPOCH_SPAN)]
    assert shown([STARTED, *events(content.upto(8)), first, second, *rest]).content == "Hello, world"
    assert shown([second, *rest]).content == "Hello, world"
    assert shown([second, *rest]).chunks[0]["choices"][0]["delta"]["role"] == "assistant"


@pytest.mark.parametrize("other", ["Hello, moon and stars", "Hell", "Hello, World!"])
def test_an_answer_that_goes_on_otherwise_is_an_error_and_no_text_is_sent_after_it(other: str):
    """Nobody can take back a chunk."""
    begun, content = events(Content.of("Hello, w")), Content.of(other)
    for kept in range(START, content.tip + 1):
        snapshot = Snapshot(EPOCH_SPAN + kept, content.upto(kept))
        rest = [*events(content, kept, EPOCH_SPAN), completed(content, base=EPOCH_SPAN)]
        heard = shown([STARTED, *begun, snapshot, *rest])
        begun = events(Content.of("Hello, w"))
        assert heard.content == "Hello, w"
        assert heard.error is not None
        assert (heard.error["code"], heard.error["type"]) == ("run_interrupted", "server_error")
        assert not heard.finish_reasons
        assert heard.done


@pytest.mark.parametrize(
    ("end", "code", "kind"),
    [
        (RunFailed(9, "upstream_timeout", "It did not answer.", True), "upstream_timeout", "server_error"),
        (RunFailed(9, "store_unavailable", "Away.", True), "store_unavailable", "server_error"),
        (RunCancelled(9, CancelReason.USER), "run_cancelled", "invalid_request_error"),
        (RunInterrupted(9 + EPOCH_SPAN), "run_interrupted", "server_error"),
    ],
)
def test_a_failure_is_an_error_object_and_the_text_before_it_stays(end: RunEvent, code: str, kind: str):
    heard = shown([STARTED, PartDelta(4, "abc"), end], include_usage=True)
    assert heard.content == "abc"
    assert heard.error is not None
    assert heard.error.keys() == {"message", "type", "param", "code"}
    assert (heard.error["code"], heard.error["type"]) == (code, kind)
    assert heard.done


def test_usage_is_a_chunk_of_its_own_where_it_is_asked_for_and_null_in_all_others():
    told = [STARTED, PartDelta(4, "abc"), RunCompleted(5, RUN.message_id, "length", USAGE)]
    without = shown(told)
    assert not any("usage" in chunk for chunk in without.chunks)
    heard = shown(told, include_usage=True)
    assert [chunk["usage"] for chunk in heard.chunks[:-1]] == [None] * 3
    assert heard.chunks[-1]["choices"] == []
    assert heard.chunks[-1]["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert heard.finish_reasons == ["length"]


def test_a_reason_that_no_client_knows_is_an_ordinary_end():
    assert shown([STARTED, RunCompleted(2, RUN.message_id, "eos_token", USAGE)]).finish_reasons == ["stop"]


def test_who_asked_for_usage_shares_no_frame_with_who_did_not():
    frames = EventFrames()
    told = [STARTED, *events(Content.of("Hi")), completed(Content.of("Hi"))]
    with_usage, plain = (frames.shared(RUN.id, ChunkEncoder(RUN, include_usage=asked)) for asked in (True, False))
    heard = [(with_usage.encode(event), plain.encode(event)) for event in told]
    assert b"".join(one for one, _ in heard) == b"".join(map(ChunkEncoder(RUN, include_usage=True).encode, told))
    assert b"".join(other for _, other in heard) == b"".join(map(ChunkEncoder(RUN).encode, told))


def test_followers_in_other_places_share_frames_only_where_all_they_depend_on_is_the_same():
    content, frames = Content.of("Hello, world"), EventFrames()
    snapshot = Snapshot(EPOCH_SPAN + 4, content.upto(4))
    rest = [*events(content, 4, EPOCH_SPAN), completed(content, base=EPOCH_SPAN)]
    pasts = [[STARTED, *events(content.upto(cut)), snapshot] for cut in (*range(START, content.tip + 1), 3, START)]
    followers = [frames.shared(RUN.id, ChunkEncoder(RUN)) for _ in pasts]
    heard = [Shown().read(b"".join(map(f.encode, past))) for f, past in zip(followers, pasts, strict=True)]
    for event in rest:
        for follower, one in zip(followers, heard, strict=True):
            one.read(follower.encode(event))
    assert {one.content for one in heard} == {"Hello, world"}
    assert all(one.finish_reasons == ["stop"] for one in heard)
