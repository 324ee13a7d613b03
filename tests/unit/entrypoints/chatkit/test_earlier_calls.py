"""A turn over two messages: what the page shows of the calls of the first, while the run that they opened goes on."""

import random
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace

from chatkit.errors import CustomStreamError

import chatorch.entrypoints.chatkit  # noqa: F401  # the package, without its warnings
from chatorch.domain.model.annotations import NotedMessage
from chatorch.domain.model.call_answers import Answer, CallDecision, CallOutput
from chatorch.domain.model.calls import Standing
from chatorch.domain.model.content import START, Content, Snapshot
from chatorch.domain.model.conversation import Message, MessageId, MessageStatus, Role, RunId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import RunEvent, RunInterrupted
from chatorch.entrypoints.chatkit.answer import answer_events
from chatorch.entrypoints.chatkit.asked_calls import AskedCalls
from chatorch.entrypoints.chatkit.call_items import is_ours
from chatorch.entrypoints.chatkit.call_states import CallStates
from chatorch.entrypoints.chatkit.frames import replaced
from chatorch.entrypoints.chatkit.items import to_chatkit
from tests.support.chatkit_page import Page, Shown, shown
from tests.support.parts import any_turn
from tests.support.sizes import size
from tests.support.widget import EVENTS
from tests.unit.entrypoints.chatkit.test_answer import DONE, NOW, RUN, by_id, more, told

NEXT = replace(RUN, id=RunId("run_2"), message_id=MessageId("msg_2"))


def message(number: int, role: Role, content: Content, status: MessageStatus = MessageStatus.COMPLETE) -> Message:
    ids = MessageId(f"msg_{number}"), RUN.thread_id
    return Message(*ids, number, role, "", status, NOW, RunId(f"run_{number}")).holding(content)


def asking(chance: random.Random) -> AskedCalls:
    while True:
        asked = AskedCalls(message(1, Role.ASSISTANT, any_turn(chance)), Standing(complete=True))
        if asked.waiting:
            return asked


def answers_to(asked: AskedCalls, chance: random.Random) -> tuple[Answer, ...]:
    def answer(call_id: str, index: int) -> Answer:
        if is_ours(asked.message.parts[index]):
            return CallDecision(call_id, approve=chance.random() < 0.7)
        return CallOutput(call_id, chance.choice(["", "here"]), is_error=chance.random() < 0.5)

    return tuple(answer(call_id, index) for call_id, index in asked.waiting.items())


def goes_on(answers: tuple[Answer, ...], chance: random.Random) -> Content:
    parts = [Part(PartKind.TEXT)]
    approved = [each.call_id for each in answers if isinstance(each, CallDecision) and each.approve]
    chance.shuffle(approved)
    for call_id in approved:
        about = {"name": "find", "call_id": call_id}
        parts += [Part(PartKind.DATA, about, f'"at {at}"', {}, closed=True) for at in range(chance.choice([0, 2]))]
        status = chance.choice(["completed", "failed", "unknown"])
        parts.append(Part(PartKind.TOOL_RESULT, {"call_id": call_id, "status": status}, "sunny", {}, closed=True))
    parts.append(Part(PartKind.TEXT, {}, "So it is.", closed=True))
    return Content(tuple(parts))


def items(message: Message, since: tuple[Message, ...]) -> Shown:
    states = CallStates(message.parts, Standing.behind(message, since))
    return [shown(item) for item in to_chatkit(NotedMessage(message), states)]


async def test_what_is_shown_live_of_a_turn_over_two_messages_is_what_is_read():
    chance = random.Random(13)
    for _ in range(size(60, 3000)):
        asked = asking(chance)
        answers = answers_to(asked, chance)
        content = goes_on(answers, chance)
        whole = chance.random() < 0.6
        content = content if whole else content.upto(chance.randint(START, content.tip))
        events = told(content, piece=3, end=DONE if whole else RunInterrupted(99))
        if chance.random() < 0.5:
            lost, kept = goes_on(answers, chance), content.upto(chance.randint(START, content.tip))
            events = [*told(lost)[:-1], Snapshot(kept.tip, kept), *more(content, kept.tip, 3), events[-1]]

        async def following(events: list[RunEvent] = events) -> AsyncGenerator[RunEvent]:
            for event in events:
                yield event

        page = Page(to_chatkit(NotedMessage(asked.message)))
        earlier = asked.answered_by(answers).earlier
        page.show(EVENTS.validate_json(replaced(item).data) for item in earlier.items())
        with suppress(CustomStreamError):
            async for frame in answer_events(NEXT, following(), earlier):
                page.show([EVENTS.validate_json(frame.data)])

        status = MessageStatus.COMPLETE if whole else MessageStatus.INCOMPLETE
        results = (result for each in answers if (result := each.result()))
        said = tuple(
            message(number, Role.TOOL, Content((Part(PartKind.TEXT), result)))
            for number, result in enumerate(results, 3)
        )
        answer = message(2, Role.ASSISTANT, content, status)
        expected = [*items(asked.message, (*said, answer)), *items(answer, ())]
        assert by_id(page.items) == by_id(expected), (asked.message, answers, events)
        assert "Button" not in str(page.items)
