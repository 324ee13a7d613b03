"""What a run is told as in OpenAI's Responses, whatever cuts it."""

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from chatorch.domain.model.content import START, Content, Draft, PartDelta, Snapshot
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId, Usage, UsageSource
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import (
    EPOCH_SPAN,
    CancelReason,
    Outcome,
    Run,
    RunCancelled,
    RunCompleted,
    RunError,
    RunEvent,
    RunFailed,
    RunInterrupted,
    RunStatus,
    TerminalEvent,
    base_of,
    end_seq,
    event_of,
    started_event,
)
from chatorch.domain.model.transcript import Transcript, replay
from chatorch.entrypoints.common.event_encoder import EventEncoder, EventFrames
from chatorch.entrypoints.openai.responses.encoder import ResponsesEncoder
from chatorch.entrypoints.openai.responses.output import output_of
from chatorch.entrypoints.openai.responses.view import ResponseView, ended_as, item_status
from tests.support.parts import ANSWER, any_content
from tests.support.sizes import size

EVENTS = TypeAdapter(ResponseStreamEvent)
RUN = Run(
    RunId("run_01abc"),
    ThreadId("thr_01abc"),
    UserId("usr_1"),
    MessageId("msg_1"),
    MessageId("msg_2"),
    RunStatus.COMPLETED,
    "toy",
    datetime(2026, 1, 2, tzinfo=UTC),
)
USAGE = Usage(3, 4, 7, UsageSource.PROVIDER, 1, 2)
OUTCOMES = [
    Outcome(RunStatus.COMPLETED, "stop", USAGE),
    Outcome(RunStatus.COMPLETED, "length", USAGE),
    Outcome(RunStatus.FAILED, error=RunError("upstream_timeout", "It took too long.")),
    Outcome(RunStatus.CANCELLED, cancel_reason=CancelReason.USER),
    Outcome(RunStatus.INTERRUPTED),
]
Event = dict[str, Any]


def ended(content: Content, outcome: Outcome = OUTCOMES[0], epoch: int = 1) -> Run:
    epoch += outcome.status is RunStatus.INTERRUPTED
    seq = end_seq(epoch, content)
    return replace(RUN, status=outcome.status, content=content, outcome=outcome, seq=seq, epoch=epoch)


def encoder(after: int = -1) -> ResponsesEncoder:
    return ResponsesEncoder(ResponseView(RUN, {}, {}), after)


def frames_of(told: bytes) -> list[Event]:
    """Events, each with its name above its data."""
    found = []
    for frame in told.decode().split("\n\n")[:-1]:
        name, data = re.fullmatch(r"event: (.*)\ndata: (.*)", frame).groups()
        event = json.loads(data)
        assert event["type"] == name
        found.append(event)
    return found


def told(events: Iterable[RunEvent], after: int = -1) -> list[Event]:
    by = encoder(after)
    return frames_of(b"".join([*map(by.encode, events), by.end()]))


def whole(run: Run) -> list[Event]:
    return told(replay(run, 0))


def in_any_pieces(chance: random.Random, content: Content) -> Iterator[RunEvent]:
    """As a provider may send it: texts in pieces of any length."""
    at = START
    for event in content.since(START):
        text = event.text if isinstance(event, PartDelta) else ""
        while isinstance(event, PartDelta) and text:
            piece, text = text[: (size := chance.choice([1, 2, 5, 40]))], text[size:]
            at += len(piece)
            yield replace(event, seq=at, text=piece)
        if not isinstance(event, PartDelta):
            at = event.seq
            yield event


def wordy(chance: random.Random) -> Content:
    """With texts that are long enough to be cut."""
    letters = 'abé🙂 \n\t%"\\\u2028'

    def more(part: Part) -> Part:
        said = "".join(chance.choices(letters, k=chance.choice([0, 3, 40, 90]))) + part.body
        return replace(part, body=said) if part.kind in (PartKind.TEXT, PartKind.REASONING) else part

    return Content(tuple(map(more, any_content(chance).parts)))


def contents(seed: int, quick: int = 12) -> Iterator[tuple[random.Random, Content, Outcome]]:
    for number in range(size(quick, 500)):
        chance = random.Random(f"{seed} {number}")
        yield chance, wordy(chance), chance.choice(OUTCOMES)


def test_a_plain_answer_is_told_in_openais_order():
    events = whole(ended(Content.of("Hello there, world")))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.delta", "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert [event["delta"] for event in events if "delta" in event] == ["Hello ", "there, ", "world"]


def test_parts_are_items():
    events = whole(ended(ANSWER))
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "reasoning", "message"]
    assert [item["id"].split("_")[0] for item in output] == ["msg", "rs", "msg"]
    assert output[2]["content"][0]["annotations"][0]["url"] == "https://x.example"
    assert output[2]["content"][0]["text"].endswith(" and so.")
    assert {item["status"] for item in output} == {"completed"}


@pytest.mark.soak
def test_any_cut_of_any_content_in_any_pieces_is_told_the_same_under_the_same_numbers():
    for chance, content, outcome in contents(1):
        run = ended(content, outcome)
        all_of_it = whole(run)
        assert [event["sequence_number"] for event in all_of_it] == list(range(len(all_of_it)))
        terminal = event_of(outcome, run.seq, RUN.message_id)
        live = [started_event(run), *in_any_pieces(chance, content), terminal]
        assert told(live) == all_of_it
        for after in range(-1, len(all_of_it)):
            rest = all_of_it[after + 1 :]
            if not rest and outcome.status is RunStatus.INTERRUPTED:
                continue
            assert told(replay(run, 0), after) == rest
            assert told(live, after) == rest


@pytest.mark.soak
def test_every_event_is_one_of_the_sdks_and_adds_up_in_its_own_hands():
    for _, content, outcome in contents(2):
        events = [EVENTS.validate_python(event) for event in whole(ended(content, outcome))]
        state: ResponseStreamState[Any] = ResponseStreamState(text_format=omit, input_tools=omit)
        for event in events:
            state.handle_event(event)
        output = events[-1].response.output
        said = "".join(item.content[0].text for item in output if item.type == "message")
        assert said == content.text
        if events[-1].type == "response.completed":
            assert state._completed_response.output_text == content.text


@pytest.mark.soak
def test_texts_that_are_done_are_what_the_deltas_said_and_what_is_read_later():
    for _, content, outcome in contents(3):
        run = ended(content, outcome)
        events = whole(run)
        said: dict[int, str] = {}
        for event in events:
            if "delta" in event:
                said[event["output_index"]] = said.get(event["output_index"], "") + event["delta"]
            if event["type"] in ("response.output_text.done", "response.reasoning_text.done"):
                assert event["text"] == said.get(event["output_index"], "")
        done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        status, _ = ended_as(event_of(outcome, run.seq, RUN.message_id))
        assert done == events[-1]["response"]["output"] == list(output_of(RUN.id, content, item_status(status)))


@pytest.mark.soak
def test_who_is_told_a_snapshot_hears_nothing_twice():
    """Who was ahead of what was kept in another process."""
    for chance, content, outcome in contents(4):
        run = ended(content, outcome)
        live = [started_event(run), *in_any_pieces(chance, content)]
        cut = chance.randrange(1, len(live) + 1)
        kept = content.upto(chance.randint(START, content.tip))
        rest = [*content.since(kept.tip), event_of(outcome, content.tip + 1, RUN.message_id)]
        assert told([*live[:cut], Snapshot(kept.tip, kept), *rest]) == whole(run)


@pytest.mark.soak
def test_who_heard_an_attempt_that_was_begun_anew_is_told_all_of_the_new_one_under_numbers_of_its_own():
    """Live, and whichever number of the earlier one it comes back with."""
    for chance, content, outcome in contents(4):
        epoch = 3 if outcome.status is RunStatus.INTERRUPTED else 2  # who ends it counts one on
        run = replace(ended(content, outcome), epoch=epoch, seq=base_of(epoch) + content.tip + 1)
        live = [started_event(RUN), *in_any_pieces(chance, content)][: chance.randint(1, 9)]
        snapshot = Snapshot(base_of(2) + START, Content())
        rest = [replace(event, seq=base_of(2) + event.seq) for event in content.since(START)]
        terminal = event_of(outcome, run.seq, RUN.message_id)
        before = told(live)
        after = told([*live, snapshot, *rest, terminal])[len(before) :]
        assert after == whole(run) == told(replay(run, 0), after=before[-1]["sequence_number"])
        assert [event["sequence_number"] for event in after] == list(range(base_of(2), base_of(2) + len(after)))


@pytest.mark.soak
def test_who_heard_more_than_was_kept_hears_the_end_under_the_next_number():
    for chance, content, _ in contents(5):
        kept = content.upto(chance.randint(START, content.tip))
        run = ended(kept, Outcome(RunStatus.INTERRUPTED))
        live = [started_event(run), *in_any_pieces(chance, content)]
        before = told(live)
        again = list(replay(run, live[-1].seq))
        heard = told([*live, *again])
        assert heard[: len(before)] == before
        assert [event["sequence_number"] for event in heard] == list(range(len(heard)))
        assert heard[-1]["type"] == "response.failed"
        assert heard[-1]["response"]["error"]["type"] == "run_interrupted"
        assert heard[-1]["response"]["output"] == whole(run)[-1]["response"]["output"]
        back = told(replay(run, 0), len(before) - 1)
        assert back == heard[len(before) :]


def test_who_has_the_end_is_told_nothing():
    run = ended(Content.of("so"))
    assert told(replay(run, 0), len(whole(run)) - 1) == []


@pytest.mark.soak
def test_all_who_stand_at_the_same_place_share_what_is_encoded():
    for chance, content, outcome in contents(6):
        run = ended(content, outcome)
        live = [started_event(run), *in_any_pieces(chance, content), event_of(outcome, run.seq, RUN.message_id)]
        frames = EventFrames()
        cuts = sorted(chance.randrange(len(live)) for _ in range(3))
        followers = [frames.shared(RUN.id, encoder()) for _ in range(4)]
        heard = [b""] * 4
        waiting = [list(live) for _ in followers]
        for cut, events in zip(cuts, waiting, strict=False):
            so_far = Draft()
            for event in events[1:cut]:
                so_far.apply(event)
            # Who comes later is told at once what there is, and then what the others are.
            events[1:cut] = list(so_far.content().since(START)) if cut > 1 else []
        while any(waiting):
            number = chance.choice([number for number, events in enumerate(waiting) if events])
            heard[number] += followers[number].encode(waiting[number].pop(0))
        assert {json.dumps(frames_of(each)) for each in heard} == {json.dumps(whole(run))}


class Behind:
    """Is told nothing for a while, and then all of it at once. All at one place are told one object."""

    def __init__(
        self, transcript: Transcript, by: EventEncoder, told_at: dict[tuple[int, int], RunEvent | None]
    ) -> None:
        self.at = 0
        self.heard = b""
        self._transcript = transcript
        self._by = by
        self._told_at = told_at

    def hear(self) -> None:
        transcript = self._transcript
        place = self.at, transcript.draft.tip + (transcript.terminal is not None)
        if (event := self._told_at.setdefault(place, transcript.next_after(self.at))) is not None:
            self.heard += self._by.encode(event)
            self.at = event.seq


@pytest.mark.soak
def test_whoever_follows_however_far_behind_hears_all_of_the_text_at_the_end():
    """Some leave, some come."""
    for chance, content, outcome in contents(7, quick=100):
        run = ended(content, outcome)
        frames, transcript = EventFrames(), Transcript(started_event(run), Draft())
        followers: list[Behind] = []
        told_at: dict[tuple[int, int], RunEvent | None] = {}
        for event in in_any_pieces(chance, content):
            more = chance.choice([0, 0, 2]) if len(followers) < 4 else 0
            followers += [Behind(transcript, frames.shared(RUN.id, encoder()), told_at) for _ in range(more)]
            if len(followers) > 2 and chance.random() < 0.05:
                followers.pop(chance.randrange(len(followers)))
            transcript.draft.apply(event)
            for each in followers:
                if chance.random() < 0.7:
                    each.hear()
        transcript.terminal = event_of(outcome, run.seq, RUN.message_id)
        while late := [each for each in followers if each.at < run.seq]:
            chance.choice(late).hear()
        assert all(frames_of(each.heard) == whole(run) for each in followers)


def test_who_was_behind_has_the_texts_that_others_were_told_one_by_one():
    frames = EventFrames()
    first, second = (frames.shared(RUN.id, encoder()) for _ in range(2))
    for event in (started_event(RUN), PartDelta(13, "Hello there ")):
        first.encode(event)
        second.encode(event)
    first.encode(PartDelta(21, "one two "))
    heard = b"".join(
        map(second.encode, [PartDelta(32, "one two three four "), RunCompleted(33, RUN.message_id, "stop", USAGE)])
    )
    [message] = frames_of(heard)[-1]["response"]["output"]
    assert message["content"][0]["text"] == "Hello there one two three four "


def test_what_one_was_told_at_an_end_of_its_own_is_not_told_to_others():
    """Whose run went on, as far as they know."""
    frames = EventFrames()
    first, second = (frames.shared(RUN.id, encoder()) for _ in range(2))
    for event in (started_event(RUN), PartDelta(9, "Hello th")):
        first.encode(event)
        second.encode(event)
    first.encode(RunCancelled(EPOCH_SPAN + 10, CancelReason.USER))
    rest = [PartDelta(19, "ere, world"), RunCompleted(20, RUN.message_id, "stop", USAGE)]
    [message] = frames_of(b"".join(map(second.encode, rest)))[-1]["response"]["output"]
    assert message["content"][0]["text"] == "Hello there, world"


def test_sources_stand_behind_what_was_said_before_them():
    source = Part(PartKind.SOURCE, {"url": "https://x.example"}, closed=True)
    texts = [Part(PartKind.TEXT, body=f"text {number}. ", closed=bool(number)) for number in range(3)]
    content = Content((texts[0], source, source, texts[1], source, texts[2]))
    events = whole(ended(content))
    places = [event["annotation"]["start_index"] for event in events if "annotation" in event]
    assert places == [8, 8, 16]


def test_who_may_hear_no_more_is_told_an_error_that_the_libraries_raise():
    by = encoder()
    told = frames_of(b"".join(map(by.encode, [started_event(RUN), PartDelta(7, "Hello ")])))
    [event] = frames_of(by.cut_off())
    assert event["type"] == "error"
    assert event["error"]["code"] == event["code"] == "invalid_token"
    assert event["sequence_number"] == told[-1]["sequence_number"]
    EVENTS.validate_python(event)


def test_who_has_the_end_is_told_no_error_behind_it():
    by = encoder()
    for event in (started_event(RUN), RunCompleted(2, RUN.message_id, "stop", USAGE)):
        by.encode(event)
    assert by.cut_off() == b""


def test_calls_that_nobody_offered_are_no_items_and_the_message_goes_on_over_them():
    call = Part(PartKind.TOOL_CALL, {"id": "c", "name": "find"}, "{}", closed=True)
    content = Content((Part(PartKind.TEXT, body="One "), call, Part(PartKind.TEXT, body="two.", closed=True)))
    events = whole(ended(content))
    assert "function_call" not in repr(events)
    [message] = events[-1]["response"]["output"]
    assert message["content"][0]["text"] == "One two."
    assert list(output_of(RUN.id, content, "completed")) == [message]


@pytest.mark.parametrize(
    ("terminal", "kind", "status"),
    [
        (RunCompleted(2, RUN.message_id, "stop", USAGE), "response.completed", "completed"),
        (RunCompleted(2, RUN.message_id, "tool_calls", USAGE), "response.completed", "completed"),
        (RunCompleted(2, RUN.message_id, "length", USAGE), "response.incomplete", "incomplete"),
        (RunCompleted(2, RUN.message_id, "content_filter", USAGE), "response.incomplete", "incomplete"),
        (RunFailed(2, "upstream_timeout", "Too late.", True), "response.failed", "failed"),
        (RunCancelled(2, CancelReason.USER), "response.incomplete", "cancelled"),
        (RunInterrupted(2), "response.failed", "failed"),
    ],
)
def test_how_it_ended(terminal: TerminalEvent, kind: str, status: str):
    last = told([started_event(RUN), terminal])[-1]
    assert (last["type"], last["response"]["status"], last["response"]["output"]) == (kind, status, [])
