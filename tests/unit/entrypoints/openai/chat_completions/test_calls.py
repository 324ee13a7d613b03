"""Calls of a client's own tools in chunks, and those that are none of its business."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chatorch.domain.model.calls import call_head, result_part
from chatorch.domain.model.content import START, Content, Snapshot
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import EPOCH_SPAN, RunEvent
from chatorch.domain.model.tools import CallStatus, CarriedOutBy
from chatorch.entrypoints.common.event_encoder import EventFrames
from chatorch.entrypoints.openai.chat_completions.chunks import ChunkEncoder
from chatorch.entrypoints.openai.chat_completions.completion import completion_view
from tests.support.openai_chunks import RUN, STARTED, Shown, completed, events, shown, wanted
from tests.support.parts import any_content
from tests.support.sizes import size


def text(body: str) -> Part:
    return Part(PartKind.TEXT, body=body, closed=True)


def call(ident: str, name: str, arguments: str, by: CarriedOutBy = CarriedOutBy.CLIENT) -> Part:
    return Part(PartKind.TOOL_CALL, call_head(ident, name, by, needs_approval=False), arguments, closed=True)


def done(ident: str, progress: str = "1", says: str = "found") -> list[Part]:
    """A call that is carried out here, with what comes of it."""
    told = Part(PartKind.DATA, {"name": "look", "call_id": ident}, progress, closed=True)
    made = call(ident, "look", '{"at": "%"}', CarriedOutBy.SERVER)
    return [made, told, result_part(ident, CallStatus.COMPLETED, says)]


ASKS = Content(
    (
        Part(PartKind.TEXT, body="Looking. "),
        *done("call_0"),
        text("Still. "),
        call("call_1", "find", ' {"a":\n "é"}'),
        call("call_2", "go", ""),
        call("call_3", "go", " \n"),
    )
)


def any_turn(chance: random.Random) -> Content:
    """As `any_content`, with calls of the client's, and of ours."""

    def turned(number: int, part: Part) -> Part:
        if part.kind is not PartKind.TOOL_CALL:
            return part
        by = chance.choice([{}, {"by": "client"}, {"by": "client"}, {"by": "server"}])
        head = {"id": f"call_{number}", "name": chance.choice(["find", 'go"%b']), **by}
        return replace(part, head=head, body=chance.choice([part.body, "", " "]))

    return Content(tuple(turned(number, part) for number, part in enumerate(any_content(chance).parts)))


def test_chunks_add_up_to_the_calls_of_the_whole_answer():
    chance = random.Random(1)
    for content in [ASKS, *(any_turn(chance) for _ in range(size(300, 5000)))]:
        heard = shown([STARTED, *events(content, chance=chance), completed(content, "tool_calls")])
        assert (heard.message, heard.error) == (wanted(content), None)
        assert heard.finish_reasons == ["tool_calls" if heard.calls else "stop"]


def test_a_call_is_told_as_clients_expect_it_and_what_is_done_here_is_not():
    choice = completion_view(RUN, ASKS, completed(ASKS, "tool_calls"))["choices"][0]
    assert choice["message"] == {
        "role": "assistant",
        "content": "Looking. Still. ",
        "refusal": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": ' {"a":\n "é"}'}},
            {"id": "call_2", "type": "function", "function": {"name": "go", "arguments": "{}"}},
            {"id": "call_3", "type": "function", "function": {"name": "go", "arguments": " \n{}"}},
        ],
    }
    assert choice["finish_reason"] == "tool_calls"
    silent = Content((Part(PartKind.TEXT), call("call_1", "go", "{}")))
    assert completion_view(RUN, silent, completed(silent, "tool_calls"))["choices"][0]["message"]["content"] is None
    heard = shown([STARTED, *events(ASKS), completed(ASKS, "tool_calls")])
    assert "look" not in str(heard.chunks)


def test_one_that_was_cut_off_is_told_and_does_not_ask():
    assert shown([STARTED, *events(ASKS), completed(ASKS, "length")]).finish_reasons == ["length"]
    assert completion_view(RUN, ASKS, completed(ASKS, "length"))["choices"][0]["finish_reason"] == "length"


def test_where_nothing_but_our_own_waits_there_is_nothing_for_the_client_to_do():
    """Of a run that another door began, which the same key leads to."""
    content = Content((Part(PartKind.TEXT, body="Hm"), call("call_0", "order", "{}", CarriedOutBy.SERVER)))
    assert shown([STARTED, *events(content), completed(content, "tool_calls")]).finish_reasons == ["stop"]


def test_for_every_position_what_is_told_once_more_is_not_sent_again():
    chance = random.Random(2)
    for content in [ASKS, *(any_turn(chance) for _ in range(size(40, 500)))]:
        for cut in range(START, content.tip + 1):
            kept = chance.randint(START, content.tip)
            before = [STARTED, *events(content.upto(cut), chance=chance)]
            heard = shown([*before, *once_more(content, kept, chance)])
            assert (heard.message, heard.error) == (wanted(content), None), (content, cut, kept)
            assert heard.done


def once_more(content: Content, kept: int, chance: random.Random | None = None) -> Iterator[RunEvent]:
    yield Snapshot(EPOCH_SPAN + kept, content.upto(kept))
    yield from events(content, kept, EPOCH_SPAN, chance)
    yield completed(content, "tool_calls", base=EPOCH_SPAN)


def test_what_is_done_here_may_be_done_otherwise_the_second_time():
    first = Content((Part(PartKind.TEXT, body="So. "), *done("call_0", "100"), text("There"), call("c", "go", "{}")))
    again = Content((Part(PartKind.TEXT, body="So. "), *done("call_0_2", "1"), text("There"), call("c", "go", "{}")))
    for cut in range(START, first.tip + 1):
        heard = shown([STARTED, *events(first.upto(cut)), *once_more(again, 3)])
        assert (heard.message, heard.error) == (wanted(again), None), cut


@pytest.mark.parametrize(
    "other", [call("call_9", "find", ' {"a":\n "é"}'), call("call_1", "go", "{}"), call("call_1", "find", "{}")]
)
def test_a_call_that_is_another_the_second_time_is_an_error(other: Part):
    *before, _, _, _ = ASKS.parts
    heard = shown([STARTED, *events(ASKS), *once_more(Content((*before, other)), 3)])
    assert heard.error is not None
    assert heard.error["code"] == "run_interrupted"
    assert not heard.finish_reasons


def test_followers_share_frames_of_calls_as_well():
    frames = EventFrames()
    pasts = [[STARTED, *events(ASKS.upto(cut))] for cut in range(START, ASKS.tip + 1)]
    followers = [frames.shared(RUN.id, ChunkEncoder(RUN)) for _ in pasts]
    heard = [Shown().read(b"".join(map(f.encode, past))) for f, past in zip(followers, pasts, strict=True)]
    for event in once_more(ASKS, 3):
        for follower, one in zip(followers, heard, strict=True):
            one.read(follower.encode(event))
    assert all(one.message == wanted(ASKS) for one in heard)
    assert {tuple(one.finish_reasons) for one in heard} == {("tool_calls",)}
