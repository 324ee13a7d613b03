"""A turn of steps over AG-UI: what its client folds of the events is what is stored, wherever it comes in."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from chatorch.domain.model.calls import ENDED_WELL, Standing, call_head, result_part
from chatorch.domain.model.content import START, Content, Snapshot
from chatorch.domain.model.conversation import Message, MessageId, MessageStatus, Role
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import RunEvent, RunFailed, RunInterrupted, started_event
from chatorch.domain.model.tools import CallStatus, CarriedOutBy
from chatorch.entrypoints.ag_ui.client_ids import kept
from chatorch.entrypoints.ag_ui.history import around, waited_for
from chatorch.entrypoints.ag_ui.run_encoder import History, RunEncoder, thread_at_rest
from chatorch.entrypoints.common.event_encoder import EventFrames
from tests.support.ag_ui import Client
from tests.support.sizes import size
from tests.unit.entrypoints.ag_ui.test_encoder import END, MESSAGE, NAMES, NOW, RUN, by_id, pieces, told

TURNS = size(60, 5_000)
SAID = ["", "So ", 'a "quoted" é', "🙂\n"]
RESULTS = [CallStatus.COMPLETED, CallStatus.FAILED, CallStatus.NOT_EXECUTED, CallStatus.UNKNOWN]


def step(chance: random.Random, ids: Iterator[str], *, last: bool) -> Iterator[Part]:
    """What the model says in one go, what tools say meanwhile, and results in any order; of the last not all."""
    if chance.random() < 0.3:
        yield Part(PartKind.REASONING, {}, chance.choice(SAID), closed=True)
    if chance.random() < 0.6:
        yield Part(PartKind.TEXT, {}, chance.choice(SAID), closed=True)
    to_come: list[Part] = []
    for _ in range(chance.choice([0, 1, 1, 2, 3])):
        by = chance.choice(list(CarriedOutBy))
        approval = by is CarriedOutBy.SERVER and chance.random() < 0.4
        call = call_head(next(ids), chance.choice(["find", "look"]), by, needs_approval=approval)
        yield Part(PartKind.TOOL_CALL, call, json.dumps({"q": chance.choice(SAID)}), closed=True)
        if last and (approval or by is CarriedOutBy.CLIENT or chance.random() < 0.3):
            continue
        if chance.random() < 0.4:
            head = {"name": call["name"], "call_id": call["id"]}
            to_come.append(Part(PartKind.DATA, head, '{"done": 1}', closed=True))
        to_come.append(result_part(call["id"], chance.choice(RESULTS), chance.choice(SAID)))
    yield from to_come if chance.random() < 0.5 else sorted(to_come, key=lambda part: part.kind is PartKind.TOOL_RESULT)


def spoken(chance: random.Random, ids: Iterator[str], results: Sequence[Part] = ()) -> Content:
    count = chance.choice([1, 1, 2, 3])
    steps = [part for number in range(count) for part in step(chance, ids, last=number == count - 1)]
    first = "" if results else chance.choice(SAID)
    return Content((Part(PartKind.TEXT, {}, first), *results, *steps))


def message(name: str, role: Role, content: Content, **about: object) -> Message:
    whole = Message(MessageId(name), RUN.thread_id, 1, role, content.text, MessageStatus.COMPLETE, NOW)
    return replace(whole, parts=() if content.text_only else content.parts, **about)


def open_in(content: Content) -> list[Part]:
    answered = {part.head["call_id"] for part in content.parts if part.kind is PartKind.TOOL_RESULT}
    calls = (part for part in content.parts if part.kind is PartKind.TOOL_CALL and part.head["id"] not in answered)
    return [call for call in calls if ENDED_WELL.status_of(call) is CallStatus.PENDING]


class Turn:
    """One that went on after it was answered: what was stored before, and what the run says that is told."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        ids = iter(f"call_{number}" for number in range(100))
        question = message("msg_0", Role.USER, Content.of("Hi"), metadata=kept("mine"))
        first = spoken(chance, ids)
        self.stored = [question, message("msg_a", Role.ASSISTANT, first)]
        approved: list[Part] = []
        for number, call in enumerate(open_in(first)):
            name = f"msg_t{number}"
            if call.head["by"] == CarriedOutBy.CLIENT:
                result = result_part(call.head["id"], CallStatus.COMPLETED, "mine")
                self.stored.append(self._result(name, result, metadata=kept(f"of-{number}")))
            elif chance.random() < 0.4:
                self.stored.append(self._result(name, result_part(call.head["id"], CallStatus.DENIED, "No.")))
            else:
                approved.append(result_part(call.head["id"], CallStatus.COMPLETED, "done"))
        self.content = spoken(chance, ids, approved)
        live = message(MESSAGE, Role.ASSISTANT, Content(), status=MessageStatus.STREAMING)
        self.before = around([*self.stored, live], MESSAGE)
        self.chance = chance

    def _result(self, name: str, result: Part, **about: object) -> Message:
        return message(name, Role.TOOL, Content((Part(PartKind.TEXT), result)), **about)

    def encoder(self, history: History | None = None) -> RunEncoder:
        encoder = RunEncoder(RUN, NAMES, EventFrames(), self.before.earlier)
        encoder.history = history or self.before
        return encoder

    def at_rest(self, status: MessageStatus = MessageStatus.COMPLETE, content: Content | None = None) -> Client:
        """A page that comes when all is over."""
        last = message(MESSAGE, Role.ASSISTANT, content or self.content, status=status)
        messages = [*self.stored, last]
        return Client().take(thread_at_rest(NAMES, around(messages, None), waited_for(messages)))

    def page(self) -> Client:
        """One that was there when the turn was answered: it holds what is shown of all that was before."""
        return Client(Client().take(thread_at_rest(NAMES, self.before, [])).messages)

    def connected(self, cut: int, end: RunEvent = END) -> Client:
        so_far = self.content.upto(cut)
        events = [started_event(RUN), Snapshot(so_far.tip, so_far), *pieces(self.content, so_far.tip), end]
        return Client().take(told(self.encoder(), *events))


@pytest.mark.soak
def test_who_stayed_and_who_comes_later_hold_the_same_and_are_asked_the_same() -> None:
    for seed in range(TURNS):
        turn = Turn(seed)
        stayed = turn.page().take(
            told(turn.encoder(), started_event(RUN), *pieces(turn.content, chance=turn.chance), END)
        )
        later = turn.at_rest()
        assert sorted(stayed.messages, key=by_id) == sorted(later.messages, key=by_id), seed
        assert [m["id"] for m in stayed.messages if m["role"] != "tool"] == [
            m["id"] for m in later.messages if m["role"] != "tool"
        ]
        assert stayed.pending == later.pending
        assert stayed.interrupts == later.interrupts
        waiting = [call.head["id"] for call in open_in(turn.content)]
        asked = [each["toolCallId"] for each in stayed.interrupts] or stayed.pending
        assert bool(asked) is bool(waiting), seed


@pytest.mark.soak
def test_each_call_has_a_result_behind_it_or_is_waited_for() -> None:
    for seed in range(TURNS):
        page = Turn(seed).at_rest()
        answered = [m["toolCallId"] for m in page.messages if m["role"] == "tool"]
        calls = [call["id"] for m in page.messages for call in m.get("toolCalls", ())]
        asked = {each["toolCallId"] for each in page.interrupts} | set(page.pending)
        assert sorted(answered) == sorted(set(calls) - asked) if not page.interrupts else set(answered) <= set(calls)
        for at, each in enumerate(page.messages):
            if each["role"] == "tool":
                owner = next(m for m in reversed(page.messages[:at]) if m["role"] != "tool")
                assert each["toolCallId"] in [call["id"] for call in owner["toolCalls"]], seed


@pytest.mark.soak
def test_who_connects_at_any_position_holds_the_same_in_the_end() -> None:
    for seed in range(size(15, 1_000)):
        turn = Turn(seed)
        stored = turn.at_rest()
        for cut in range(START, turn.content.tip + 1):
            page = turn.connected(cut)
            assert sorted(page.messages, key=by_id) == sorted(stored.messages, key=by_id), (seed, cut)
            assert list(page.told_beside) == list(stored.told_beside)
            assert (page.interrupts, page.pending) == (stored.interrupts, stored.pending)


@pytest.mark.soak
@pytest.mark.parametrize("end", [RunInterrupted(99), RunFailed(99, "upstream_error", "It broke.", retryable=True)])
def test_a_run_that_breaks_off_leaves_no_call_to_be_answered(end: RunEvent) -> None:
    for seed in range(size(30, 2_000)):
        turn = Turn(seed)
        half = turn.content.upto(turn.chance.randint(START, turn.content.tip))
        page = turn.page().take(told(turn.encoder(), started_event(RUN), *pieces(half), end))
        stored = turn.at_rest(MessageStatus.INCOMPLETE, half)
        assert sorted(page.messages, key=by_id) == sorted(stored.messages, key=by_id), seed
        assert (page.pending, stored.pending, stored.interrupts) == ([], [], [])


@pytest.mark.soak
def test_a_takeover_keeps_the_steps_that_were_finished_and_takes_back_the_one_that_was_not() -> None:
    for seed in range(size(30, 2_000)):
        turn = Turn(seed)
        results = [at for at, part in enumerate(turn.content.parts) if part.kind is PartKind.TOOL_RESULT]
        kept_parts = turn.content.parts[: results[-1] + 1] if results else turn.content.parts[:1]
        anew = Content((*kept_parts, Part(PartKind.TEXT, {}, "Anew.", closed=True)))
        back = Content(kept_parts)
        events = [started_event(RUN), *pieces(turn.content), Snapshot(back.tip, back), *pieces(anew, back.tip), END]
        page = turn.page().take(told(turn.encoder(), *events))
        stored = turn.at_rest(content=anew)
        assert sorted(page.messages, key=by_id) == sorted(stored.messages, key=by_id), seed


def test_what_became_of_its_calls_since_is_no_question_any_more() -> None:
    call = Part(
        PartKind.TOOL_CALL, call_head("c", "look", CarriedOutBy.CLIENT, needs_approval=False), "{}", closed=True
    )
    asks = message(MESSAGE, Role.ASSISTANT, Content((Part(PartKind.TEXT), call)))
    question = message("msg_9", Role.USER, Content.of("Never mind"))
    for since, shown in (([question], ['{"status":"not_executed"}']), ([], [])):
        history = around([asks, *since], MESSAGE)
        encoder = RunEncoder(RUN, NAMES, EventFrames())
        encoder.history = history
        page = Client().take(told(encoder, started_event(RUN), Snapshot(asks.whole.tip, asks.whole), END))
        assert [m["content"] for m in page.messages if m["role"] == "tool"] == shown
        assert bool(page.pending) is not bool(shown)
    assert Standing.behind(asks, [question]).overtaken
