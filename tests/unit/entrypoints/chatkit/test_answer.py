"""A message of parts as ChatKit's items: what is told live is what is read, whatever came and wherever it stopped."""

import json
import random
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from chatkit.errors import CustomStreamError

import chatorch.entrypoints.chatkit  # noqa: F401  # the package, without its warnings
from chatorch.domain.model.annotations import NotedMessage
from chatorch.domain.model.content import PIECE_CHARS, START, Content, Draft, PartDelta, Snapshot
from chatorch.domain.model.conversation import (
    Message,
    MessageId,
    MessageStatus,
    Role,
    RunId,
    ThreadId,
    Usage,
    UsageSource,
)
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import (
    Run,
    RunCompleted,
    RunEvent,
    RunInterrupted,
    RunStarted,
    RunStatus,
    TerminalEvent,
)
from chatorch.entrypoints.chatkit.answer import answer_events
from chatorch.entrypoints.chatkit.items import to_chatkit
from tests.support.chatkit_page import Page, Shown, shown
from tests.support.parts import ANSWER, CALL, SOURCE, THOUGHT, any_content, any_turn
from tests.support.sizes import size
from tests.support.widget import EVENTS

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RUN = Run(
    RunId("run_1"),
    ThreadId("thr_1"),
    UserId("usr_1"),
    MessageId("msg_q"),
    MessageId("msg_1"),
    RunStatus.STREAMING,
    "a-model",
    NOW,
)
DONE = RunCompleted(9, MessageId("msg_1"), "stop", Usage(1, 2, 3, UsageSource.PROVIDER))
RESULT = Part(PartKind.TOOL_RESULT, {"call_id": "call_1", "status": "completed"}, "Rome", closed=True)


def of(*parts: Part, text: str = "") -> Content:
    return Content((Part(PartKind.TEXT, {}, text), *parts))


def told(content: Content, *, piece: int = PIECE_CHARS, end: TerminalEvent | None = None) -> list[RunEvent]:
    return [RunStarted(1, RUN.thread_id, RUN.message_id, "a-model"), *more(content, START, piece), end or DONE]


def more(content: Content, after: int, piece: int = PIECE_CHARS) -> list[RunEvent]:
    """What follows a position, no delta longer than `piece`."""
    events: list[RunEvent] = []
    for event in content.since(after):
        if not isinstance(event, PartDelta):
            events.append(event)
            continue
        begins = event.seq - len(event.text)
        for at in range(0, len(event.text), piece):
            text = event.text[at : at + piece]
            events.append(PartDelta(begins + at + len(text), text, event.index, event.kind))
    return events


async def live(events: Sequence[RunEvent]) -> tuple[Page, list[Any], str | None]:
    """The page in the end, all events as the package reads them, and the error that ended them."""

    async def following() -> AsyncGenerator[RunEvent]:
        for event in events:
            yield event

    page, kinds, error = Page(), list[Any](), None
    try:
        async for frame in answer_events(RUN, following()):
            event = EVENTS.validate_json(frame.data)
            kinds.append(event)
            page.show([event])
    except CustomStreamError as raised:
        error = raised.message
    return page, kinds, error


def stored(content: Content, status: MessageStatus = MessageStatus.COMPLETE) -> Shown:
    parts = () if content.text_only else content.parts
    message = Message(
        MessageId("msg_1"), RUN.thread_id, 1, Role.ASSISTANT, content.text, status, NOW, RunId("run_1"), parts=parts
    )
    items = to_chatkit(NotedMessage(message))
    for item in items:
        item.model_dump_json()
    return [shown(item) for item in items]


def types(items: Shown) -> list[str]:
    return [item["type"] for item in items]


async def test_whatever_was_said_live_and_read_are_the_same_wherever_it_ended():
    chance = random.Random(12)
    for _ in range(size(60, 3000)):
        content = chance.choice([any_content, any_turn])(chance)
        end = DONE if content.parts[-1].closed or content.text_only else RunInterrupted(9)
        page, _, error = await live(told(content, piece=chance.choice([1, 3, 50]), end=end))
        assert page.items == stored(content, MessageStatus.INCOMPLETE if error else MessageStatus.COMPLETE), content


def other_end(chance: random.Random, content: Content) -> Content:
    """As a worker had gone on that died before it was stored."""
    draft = Draft(content)
    if not content.parts[-1].closed:
        draft.append("lost")
        if not content.text_only and chance.random() < 0.5:
            draft.end({"details": []})
    if content.text_only or draft.content().parts[-1].closed:
        for part in chance.choice([any_content, any_turn])(chance).parts[1:]:
            draft.start(part.kind, part.head)
            if part.body:
                draft.append(part.body)
            if not part.closed:
                break
            draft.end(part.result)
    return draft.content()


async def test_a_snapshot_that_takes_back_what_was_lost_leads_to_the_same():
    chance = random.Random(13)
    for _ in range(size(60, 3000)):
        content = chance.choice([any_content, any_turn])(chance)
        kept = content.upto(chance.randint(START, content.tip))
        before = other_end(chance, kept)
        events = [*told(before)[:-1], Snapshot(kept.tip, kept), *more(content, kept.tip, 3), DONE]
        page, _, _ = await live(events)
        assert by_id(page.items) == by_id(stored(content)), (before, kept, content)


def by_id(items: Shown) -> Shown:
    """The page shows what comes first where it was shown first, until it reads the thread again."""
    return sorted(items, key=lambda item: item["id"])


@pytest.mark.parametrize("cut", range(START, ANSWER.tip + 1))
async def test_an_answer_that_stops_anywhere_is_shown_as_far_as_it_came(cut: int):
    content = ANSWER.upto(cut)
    page, _, error = await live(told(content, piece=2, end=RunInterrupted(99)))
    assert error == "The answer was interrupted."
    assert page.items == stored(content, MessageStatus.INCOMPLETE)
    assert "loading" not in json.dumps(page.items)
    assert "pending" not in json.dumps(page.items)


async def test_reasoning_text_and_a_source_are_a_workflow_and_a_message_with_an_annotation():
    content = of(THOUGHT, Part(PartKind.TEXT, {}, "So it is.", closed=True), SOURCE)
    page, events, _ = await live(told(content, piece=4))

    assert types(page.items) == ["workflow", "assistant_message"]
    assert [item["id"] for item in page.items] == ["msg_1.1", "msg_1"]
    workflow, message = page.items
    assert workflow["workflow"]["type"] == "reasoning"
    [task] = workflow["workflow"]["tasks"]
    assert (task["type"], task["content"], task["status_indicator"]) == ("thought", THOUGHT.body, "complete")
    [said] = message["content"]
    assert said["text"] == "So it is."
    assert [cited["source"]["url"] for cited in said["annotations"]] == ["https://x.example"]
    assert page.removed == 1  # the message, which was empty when reasoning began
    kinds = [getattr(event, "update", event).type for event in events]
    assert kinds.count("assistant_message.content_part.annotation_added") == 1
    assert kinds.index("thread.item.removed") < kinds.index("assistant_message.content_part.text_delta")


async def test_a_text_only_run_has_the_frames_that_it_always_had():
    _, events, _ = await live(told(Content.of("Hello"), piece=2))
    assert [getattr(event, "update", event).type for event in events] == [
        "thread.item.added",
        "assistant_message.content_part.added",
        *["assistant_message.content_part.text_delta"] * 3,
        "assistant_message.content_part.done",
        "thread.item.done",
    ]


async def test_a_call_that_nobody_asked_for_is_no_work_for_the_page():
    page, events, _ = await live(told(of(CALL)))
    [call] = page.items
    assert (call["type"], call["status"]) == ("client_tool_call", "completed")
    assert (call["call_id"], call["name"], call["arguments"]) == ("call_1", "find", {"a": "é"})
    assert call["output"] == {"status": "not_executed"}
    assert all(event.item.status == "completed" for event in events if event.type == "thread.item.added" and
               event.item.type == "client_tool_call")  # fmt: skip


async def test_what_a_tool_said_is_the_output_of_its_call():
    page, _, _ = await live(told(of(CALL, RESULT, text="Well")))
    assert page.items == stored(of(CALL, RESULT, text="Well"))
    assert page.items[1]["output"] == {"status": "completed", "content": "Rome"}


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ("", {}),
        (" \n", {}),
        ('{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
        ('{"a": 1', {"arguments": '{"a": 1'}),
        ("[1]", {"arguments": "[1]"}),
        ("NaN", {"arguments": "NaN"}),
        ('{"a": NaN}', {"arguments": '{"a": NaN}'}),
        ('{"a": 1e999}', {"arguments": '{"a": 1e999}'}),
        ('{"a": "\\ud800"}', {"arguments": '{"a": "\\ud800"}'}),
        ('{"\\udc00": 1}', {"arguments": '{"\\udc00": 1}'}),
        ('{"a": ' + "[" * 300 + "]" * 300 + "}", {"arguments": '{"a": ' + "[" * 300 + "]" * 300 + "}"}),
        ("[" * 100_000, {"arguments": "[" * 100_000}),
        ('{"a": ' * 5000 + "1" + "}" * 5000, {"arguments": '{"a": ' * 5000 + "1" + "}" * 5000}),
    ],
    ids=range(13),
)
async def test_any_arguments_are_kept_and_can_be_told(arguments: str, kept: dict[str, Any]):
    content = of(Part(PartKind.TOOL_CALL, {"id": "c", "name": "n"}, arguments, closed=True))
    page, _, _ = await live(told(content))
    assert [item["arguments"] for item in page.items] == [kept]
    assert page.items == stored(content)


async def test_a_long_thought_is_told_as_it_grows_and_not_once_a_piece():
    thought = "Hm, so. " * 2000
    content = of(Part(PartKind.REASONING, {}, thought, closed=True))
    _, events, _ = await live(told(content, piece=4))
    tasks = [event.update.task.content for event in events if event.type == "thread.item.updated" and
             event.update.type == "workflow.task.updated"]  # fmt: skip
    assert 5 < len(tasks) < 60
    assert sum(map(len, tasks)) < 8 * len(thought)
    assert all(thought.startswith(task) for task in tasks)
    assert tasks == sorted(tasks, key=len)


def test_a_message_that_is_being_written_shows_what_is_there():
    reading = of(Part(PartKind.REASONING, {}, "Hm"))
    [workflow] = stored(reading, MessageStatus.STREAMING)
    assert workflow["workflow"]["tasks"][0]["status_indicator"] == "loading"
    assert stored(of(Part(PartKind.TOOL_CALL, {"id": "c"}, '{"a'), text="Well"), MessageStatus.STREAMING) == stored(
        Content.of("Well")
    )


def test_what_another_door_noted_with_a_message_is_not_taken_for_chatkits_own():
    message = Message(MessageId("msg_1"), RUN.thread_id, 1, Role.USER, "Hi", MessageStatus.COMPLETE, NOW)
    plain = to_chatkit(NotedMessage(message))
    assert to_chatkit(NotedMessage(message, {"response": {"background": True}})) == plain
