"""Turns with tools as OpenAI's Responses tell them, whatever cuts them."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from chatorch.domain.model.calls import result_part
from chatorch.domain.model.content import START, Content, Snapshot
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import Outcome, RunEvent, RunStatus, base_of, event_of, started_event
from chatorch.domain.model.tools import CallStatus
from chatorch.domain.model.transcript import replay
from chatorch.entrypoints.common.event_encoder import EventFrames
from chatorch.entrypoints.openai.responses.call_items import Asked, labelled, unlabelled
from chatorch.entrypoints.openai.responses.encoder import ResponsesEncoder
from chatorch.entrypoints.openai.responses.output import output_of
from chatorch.entrypoints.openai.responses.view import ResponseView, ended_as, item_status
from tests.support.sizes import size
from tests.unit.entrypoints.openai.responses.test_encoder import (
    OUTCOMES,
    RUN,
    Event,
    ended,
    frames_of,
    in_any_pieces,
)

EVENTS = TypeAdapter(ResponseStreamEvent)
TEXT, CALL = PartKind.TEXT, PartKind.TOOL_CALL
LETTERS = '{"é🙂 \n\t%\\":,}'
STATUSES = [CallStatus.COMPLETED, CallStatus.FAILED, CallStatus.DENIED, CallStatus.UNKNOWN, CallStatus.NOT_EXECUTED]


def called(ident: str, name: str = "find", arguments: str = '{"a": 1}', **more: Any) -> Part:
    return Part(CALL, {"id": ident, "name": name, **({"by": "server"} | more)}, arguments, closed=True)


def text(said: str) -> Part:
    return Part(TEXT, body=said, closed=True)


BEFORE = called("before", "files__drop", "{}", needs_approval=True)
ASKED = {"before": Asked(BEFORE, "mcpr_01aaa_3")}


def told(events: Iterator[RunEvent] | list[RunEvent], after: int = -1) -> list[Event]:
    by = ResponsesEncoder(ResponseView(RUN, {}, {}, ASKED), after)
    return frames_of(b"".join(map(by.encode, events)))


def whole(content: Content, outcome: Outcome = OUTCOMES[0]) -> list[Event]:
    return told(replay(ended(content, outcome), 0))


def types(events: list[Event]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def items(content: Content, status: str = "completed") -> list[dict[str, Any]]:
    return output_of(RUN.id, content, status, ASKED)


def said_by(chance: random.Random) -> str:
    return "".join(chance.choices(LETTERS, k=chance.choice([0, 1, 7, 40, 90])))


def any_step(chance: random.Random, step: int) -> Iterator[Part]:
    """Texts, calls of all kinds, and results in any order."""
    waiting = []
    if chance.random() < 0.5:
        yield Part(PartKind.REASONING, body=said_by(chance), closed=True)
    for number in range(chance.choice([0, 1, 3])):
        if chance.random() < 0.3:
            yield text(said_by(chance))
        kind = chance.choice([{"by": "server"}, {"by": "client"}, {"by": "server", "needs_approval": True}, {}])
        head = {"id": f"c{step}_{number}", "name": chance.choice(["find", "files__drop"]), **kind}
        yield Part(CALL, head, said_by(chance), closed=True)
        if kind == {"by": "server"} or chance.random() < 0.1:
            waiting.append(head["id"])
    for ident in chance.sample(waiting, len(waiting)):
        if chance.random() < 0.4:
            yield Part(PartKind.DATA, {"name": "find", "call_id": ident}, "{}", closed=True)
        yield result_part(ident, chance.choice(STATUSES), said_by(chance))
    if chance.random() < 0.4:
        yield Part(PartKind.SOURCE, {"url": "https://x.example"}, closed=True)
    yield text(said_by(chance))


def any_turn(chance: random.Random) -> Content:
    """Steps; cut anywhere."""
    parts = [Part(TEXT, body=said_by(chance))]
    if chance.random() < 0.3:
        parts.append(result_part("before", chance.choice(STATUSES), said_by(chance)))
    for step in range(chance.choice([1, 2, 3])):
        parts += any_step(chance, step)
    content = Content(tuple(parts))
    return content.upto(chance.randint(START, content.tip)) if chance.random() < 0.5 else content


def turns(seed: int) -> Iterator[tuple[random.Random, Content, Outcome]]:
    """What was cut off did not complete."""
    for number in range(size(8, 500)):
        chance = random.Random(f"{seed} {number}")
        content = any_turn(chance)
        cut = not content.parts[-1].closed or content.tip == START
        yield chance, content, chance.choice([each for each in OUTCOMES[2:] if cut] or OUTCOMES)


def test_a_call_of_the_clients_is_a_function_call_in_openais_order():
    arguments = '{"city": "Rome", "unit": "celsius"}'
    events = whole(Content((Part(TEXT, body="Hm."), called("c1", "weather", arguments, by="client"))))
    assert types(events)[5:] == [
        "output_text.done", "content_part.done", "output_item.done", "output_item.added",
        *["function_call_arguments.delta"] * 4, "function_call_arguments.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    item = {"id": "fc_01abc_1", "type": "function_call", "call_id": "c1", "name": "weather", "status": "completed"}
    assert events[-1]["response"]["output"][1] == {**item, "arguments": arguments}
    assert "".join(event["delta"] for event in events if "function" in event["type"] and "delta" in event) == arguments
    assert events[-1]["response"]["status"] == "completed"


def test_calls_of_ours_are_mcp_calls_that_stay_open_until_there_is_a_result():
    results = [result_part("b", CallStatus.FAILED, "no"), result_part("a", CallStatus.COMPLETED, "yes")]
    content = Content((Part(TEXT), called("a", "files__read"), called("b", arguments=""), *results, text("So.")))
    events = whole(content)
    assert types(events)[2:-7] == [
        *["output_item.added", "mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.delta"],
        *["mcp_call_arguments.done", "output_item.added", "mcp_call.in_progress", "mcp_call_arguments.done"],
        *["mcp_call.failed", "output_item.done", "mcp_call.completed", "output_item.done"],
    ]
    first, second, message = events[-1]["response"]["output"]
    assert first == {
        "id": "mcp_01abc_1", "type": "mcp_call", "status": "completed", "approval_request_id": None,
        "arguments": '{"a": 1}', "error": None, "name": "read", "server_label": "files", "output": "yes",
    }  # fmt: skip
    assert (second["status"], second["server_label"], second["output"]) == ("failed", "chatorch", None)
    assert second["error"] == {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "no"}]}
    assert message["content"][0]["text"] == "So."


def test_a_call_that_needs_approval_is_asked_for_when_it_is_whole():
    content = Content((Part(TEXT), called("c", "files__drop", "{}", needs_approval=True)))
    events = whole(content)
    assert types(events)[2:] == ["output_item.added", "output_item.done", "completed"]
    request = {"id": "mcpr_01abc_1", "type": "mcp_approval_request", "arguments": "{}"}
    assert events[-1]["response"]["output"] == [{**request, "name": "drop", "server_label": "files"}]
    assert items(content.upto(content.tip - 1), "incomplete") == []


def test_what_was_approved_is_a_call_of_the_response_after():
    content = Content((Part(TEXT), result_part("before", CallStatus.COMPLETED, "gone"), text("Done.")))
    call, _ = whole(content)[-1]["response"]["output"]
    assert call["id"] == "mcp_01abc_1"
    assert (call["approval_request_id"], call["name"], call["output"]) == ("mcpr_01aaa_3", "drop", "gone")


def test_half_of_a_call_is_nothing_to_carry_out():
    content = Content((Part(TEXT), Part(CALL, {"id": "c", "name": "find", "by": "client"}, '{"a')))
    events = whole(content, OUTCOMES[2])
    assert "function_call_arguments.done" not in types(events)
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"


def test_what_nothing_answers_any_more_is_incomplete():
    content = Content((Part(TEXT), called("c"), text("So")))
    assert [item["status"] for item in items(content, "in_progress")] == ["in_progress", "in_progress"]
    events = whole(content, Outcome(RunStatus.INTERRUPTED))
    assert events[-1]["response"]["output"] == items(content, "incomplete")
    assert [item["status"] for item in items(content, "incomplete")] == ["incomplete", "incomplete"]


@pytest.mark.parametrize("name", ["find", "files__read", "a__b__c", "__x", "x__", "chatorch__x", "_"])
def test_a_tools_name_comes_back_from_its_label(name: str):
    shown = labelled(name)
    assert unlabelled(shown["name"], shown["server_label"]) == name


@pytest.mark.soak
def test_any_cut_of_any_turn_is_told_the_same_under_the_same_numbers():
    for chance, content, outcome in turns(1):
        run = ended(content, outcome)
        all_of_it = whole(content, outcome)
        assert [event["sequence_number"] for event in all_of_it] == list(range(len(all_of_it)))
        live = [started_event(run), *in_any_pieces(chance, content), event_of(outcome, run.seq, RUN.message_id)]
        assert told(live) == all_of_it
        for after in range(-1, len(all_of_it) - 1):
            assert told(replay(run, 0), after) == told(live, after) == all_of_it[after + 1 :]
        kept = content.upto(chance.randint(START, content.tip))
        cut = chance.randrange(1, len(live))
        rest = [*content.since(kept.tip), live[-1]]
        assert told([*live[:cut], Snapshot(kept.tip, kept), *rest]) == all_of_it


@pytest.mark.soak
def test_a_turn_that_another_worker_carries_on_is_told_anew_with_the_results_that_were_kept():
    for chance, content, outcome in turns(4):
        epoch = 3 if outcome.status is RunStatus.INTERRUPTED else 2  # who ends it counts one on
        run = replace(ended(content, outcome), epoch=epoch, seq=base_of(epoch) + content.tip + 1)
        live = [started_event(RUN), *in_any_pieces(chance, content)][: chance.randint(1, 40)]
        kept = content.upto(chance.randint(START, content.tip))
        rest = [replace(event, seq=base_of(2) + event.seq) for event in content.since(kept.tip)]
        again = [Snapshot(base_of(2) + kept.tip, kept), *rest, event_of(outcome, run.seq, RUN.message_id)]
        before = told(live)
        after = told([*live, *again])[len(before) :]
        assert after == told(replay(run, 0)) == told(replay(run, 0), before[-1]["sequence_number"])


@pytest.mark.soak
def test_the_sdk_takes_every_event_and_adds_up_what_is_read_later():
    for _, content, outcome in turns(2):
        run = ended(content, outcome)
        events = whole(content, outcome)
        state: ResponseStreamState[Any] = ResponseStreamState(text_format=omit, input_tools=omit)
        for event in events:
            state.handle_event(EVENTS.validate_python(event))
        done = {event["output_index"]: event["item"] for event in events if event["type"].endswith("output_item.done")}
        added = [event["output_index"] for event in events if event["type"].endswith("output_item.added")]
        assert added == list(range(len(added))) == sorted(done)
        status, _ = ended_as(event_of(outcome, run.seq, RUN.message_id))
        output = [done[place] for place in sorted(done)]
        assert output == events[-1]["response"]["output"] == items(content, item_status(status))
        said: dict[int, str] = {}
        for event in events:
            if "delta" in event:
                said[event["output_index"]] = said.get(event["output_index"], "") + event["delta"]
        for place, item in done.items():
            if item["type"] in ("function_call", "mcp_call"):
                assert item["arguments"] == said.get(place, "")


@pytest.mark.soak
def test_all_who_stand_at_the_same_place_share_what_is_encoded():
    for chance, content, outcome in turns(3):
        run = ended(content, outcome)
        live = [started_event(run), *in_any_pieces(chance, content), event_of(outcome, run.seq, RUN.message_id)]
        frames = EventFrames()
        view = ResponseView(RUN, {}, {}, ASKED)
        followers = [frames.shared(RUN.id, ResponsesEncoder(view)) for _ in range(3)]
        heard = [b""] * 3
        waiting = [list(live) for _ in followers]
        while any(waiting):
            number = chance.choice([number for number, events in enumerate(waiting) if events])
            heard[number] += followers[number].encode(waiting[number].pop(0))
        assert {json.dumps(frames_of(each)) for each in heard} == {json.dumps(whole(content, outcome))}
