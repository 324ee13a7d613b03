"""A run's events as those of the items that its message is shown as."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from chatkit.errors import CustomStreamError

from chatorch.domain.model.calls import Standing
from chatorch.domain.model.content import Draft, PartDelta, PartEnded, PartStarted, Snapshot
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import (
    CancelReason,
    Run,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunInterrupted,
    RunStarted,
    Silence,
    TerminalEvent,
)
from chatorch.entrypoints.chatkit.answer_texts import AnswerTexts, begins_step
from chatorch.entrypoints.chatkit.call_items import call_item, call_task, is_workflow
from chatorch.entrypoints.chatkit.call_states import CallStates
from chatorch.entrypoints.chatkit.earlier_calls import EarlierCalls
from chatorch.entrypoints.chatkit.frames import SILENT, AnswerFrames, Encoded
from chatorch.entrypoints.chatkit.part_items import (
    Json,
    part_id,
    thought_task,
    workflow_item,
)

GROWN = 1.25
"""How much longer a thought must be before it is told again: ChatKit tells the whole of it each time."""
AT_LEAST_CHARS = 200


async def answer_events(
    run: Run, events: AsyncGenerator[RunEvent | Silence], earlier: EarlierCalls | None = None
) -> AsyncGenerator[Encoded]:
    """`earlier`: the calls that this run was opened for.

    Raises `CustomStreamError` at the end of a run that ended without an answer, and not because its user said so.
    """
    answer = _Answer(run, earlier)
    async with aclosing(events):
        async for event in events:
            if type(event) is PartDelta and event.kind is PartKind.TEXT:  # first, because it is nearly always one
                yield answer.text(event)
                continue
            if isinstance(event, Silence):
                yield SILENT
                continue
            for frame in answer.frames_for(event):
                yield frame
            _raise_for(event)


class _Answer:
    """What is shown of one message: its texts, and items of their own for other parts.

    A call is done when nothing more is to be told of it.
    """

    def __init__(self, run: Run, earlier: EarlierCalls | None = None) -> None:
        self._placed = {"thread_id": run.thread_id, "created_at": run.created_at}
        self._message_id = run.message_id
        self._frames = AnswerFrames(run.message_id, run.thread_id, run.created_at)
        self._draft = Draft()
        self._texts = AnswerTexts(run)
        self._told_chars = 0
        self._items: dict[int, None] = {}
        self._calls: dict[object, list[int]] = {}
        self._open_calls: dict[int, None] = {}
        self._states = CallStates()
        self._earlier = earlier

    def text(self, delta: PartDelta) -> Encoded:
        self._draft.append(delta.text)
        return self._texts.delta(delta.text)

    def frames_for(self, event: RunEvent) -> Iterator[Encoded]:
        match event:
            case RunStarted():
                yield from self._texts.begin()
            case PartStarted():
                self._draft.apply(event)
                yield from self._part_began(event)
            case PartDelta():
                self._draft.apply(event)
                yield from self._grown(event)
            case PartEnded():
                self._draft.apply(event)
                yield from self._part_ended(event)
            case Snapshot():
                yield from self._replaced(event)
            case _:
                yield from self._ended(event)

    def _part_began(self, event: PartStarted) -> Iterator[Encoded]:
        if begins_step(self._draft.part(event.index - 1), event.part):
            yield from self._texts.step_began(event.index, self._draft.content().parts)
        if event.part.kind is PartKind.TEXT:
            yield from self._texts.text_began(event.index)
            return
        yield from self._texts.other_began()
        if event.part.kind is PartKind.REASONING:
            self._told_chars = 0
            self._items[event.index] = None
            yield self._frames.item("added", self._thought(event.index, Part(PartKind.REASONING)))

    def _grown(self, event: PartDelta) -> Iterator[Encoded]:
        if event.kind is not PartKind.REASONING:
            return
        chars = self._draft.open_chars
        if chars >= max(self._told_chars * GROWN, self._told_chars + AT_LEAST_CHARS):
            self._told_chars = chars
            part = self._draft.part(event.index)
            yield self._frames.task(part_id(self._message_id, event.index), thought_task(part))

    def _part_ended(self, event: PartEnded) -> Iterator[Encoded]:
        part = self._draft.part(event.index)
        match part.kind:
            case PartKind.REASONING:
                yield self._frames.item("done", self._thought(event.index, part))
            case PartKind.TOOL_CALL:
                yield from self._called(event.index, part)
            case PartKind.TOOL_RESULT | PartKind.DATA:
                yield from self._heard(part)
            case PartKind.SOURCE if part.head:
                yield from self._texts.source(part.head)

    def _called(self, index: int, call: Part) -> Iterator[Encoded]:
        """A call is shown once it is whole."""
        self._add_call(index, call)
        item = self._call(index, call)
        yield self._frames.item("added", item)
        if self._states.of(call).settled:
            yield self._frames.item("done", item)
        else:
            self._open_calls[index] = None

    def _add_call(self, index: int, call: Part) -> None:
        self._states.hear(call)
        self._items[index] = None
        self._calls.setdefault(str(call.head.get("id", "")), []).append(index)

    def _heard(self, part: Part) -> Iterator[Encoded]:
        """How a call gets on, or what came of it."""
        call_id = self._states.hear(part)
        for index in self._calls.get(call_id, ()):
            call = self._draft.part(index)
            if part.kind is PartKind.TOOL_RESULT:
                done = index in self._open_calls
                self._open_calls.pop(index, None)
                yield self._frames.item("done" if done else "replaced", self._call(index, call))
            elif index in self._open_calls and is_workflow(call):
                yield self._frames.task(part_id(self._message_id, index), call_task(call, self._states.of(call)))
        if self._earlier is not None and (call_id := self._earlier.hear(part)):
            if part.kind is PartKind.TOOL_RESULT:
                yield self._frames.item("replaced", self._earlier.item(call_id))
            elif progress := self._earlier.progress(call_id):
                yield self._frames.component(*progress)

    def _replaced(self, event: Snapshot) -> Iterator[Encoded]:
        """Items that were told before are replaced, others are added, and what is no more is taken back."""
        self._draft.apply(event)
        content, told = event.content, self._items
        self._items, self._calls, self._open_calls = {}, {}, {}
        self._states = CallStates(content.parts)
        for index, part in content.shown():
            if part.kind is PartKind.REASONING:
                self._told_chars = len(part.body)
                item = self._thought(index, part)
            elif part.kind is PartKind.TOOL_CALL and part.closed:
                self._add_call(index, part)
                item = self._call(index, part)
            else:
                continue
            self._items[index] = None
            yield self._frames.item("replaced" if index in told else "added", item)
            if part.kind is PartKind.TOOL_CALL and not self._states.of(part).settled:
                self._open_calls[index] = None
            elif index not in told and part.closed:
                yield self._frames.item("done", item)
        for index in told.keys() - self._items.keys():
            yield self._frames.removed(part_id(self._message_id, index))
        if self._earlier is not None:
            self._earlier.hear_all(content.parts)
            yield from (self._frames.item("replaced", item) for item in self._earlier.items())
        yield from self._texts.replaced(content)

    def _ended(self, event: RunEvent) -> Iterator[Encoded]:
        """What was open stays as it is, and nothing more comes of it but what the user says."""
        self._states.now(Standing(complete=isinstance(event, RunCompleted)))
        content = self._draft.content()
        index, last = len(content.parts) - 1, content.parts[-1]
        if not last.closed and last.kind is PartKind.REASONING:
            yield self._frames.item("done", self._thought(index, last, over=True))
        elif not last.closed and last.kind is PartKind.TOOL_CALL:
            yield from self._called(index, last)
        for index in self._open_calls:
            yield self._frames.item("done", self._call(index, content.parts[index]))
        if self._earlier is not None:
            yield from (self._frames.item("replaced", item) for item in self._earlier.over())
        yield from self._texts.ended(content)

    def _thought(self, index: int, part: Part, *, over: bool = False) -> Json:
        return {**self._placed, **workflow_item(self._message_id, index, part, over=over)}

    def _call(self, index: int, call: Part) -> Json:
        return {**self._placed, **call_item(self._message_id, index, call, self._states.of(call))}


def _raise_for(event: RunEvent | TerminalEvent) -> None:
    match event:
        case RunFailed():
            raise CustomStreamError(event.detail, allow_retry=event.retryable)
        case RunInterrupted():
            raise CustomStreamError("The answer was interrupted.", allow_retry=True)
        case RunCancelled(reason=CancelReason.SHUTDOWN):
            raise CustomStreamError("The server is restarting.", allow_retry=True)
        case RunCancelled(reason=CancelReason.DETACHED):
            raise CustomStreamError("The answer was stopped, because nobody seemed to follow it.", allow_retry=True)
