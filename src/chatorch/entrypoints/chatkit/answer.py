"""A run's events as those of the items that its message is shown as."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from chatkit.errors import CustomStreamError

from chatorch.domain.model.content import Content, Draft, PartDelta, PartEnded, PartStarted, Snapshot
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import (
    CancelReason,
    Run,
    RunCancelled,
    RunEvent,
    RunFailed,
    RunInterrupted,
    RunStarted,
    Silence,
    TerminalEvent,
)
from chatorch.entrypoints.chatkit.frames import SILENT, AnswerFrames, Encoded
from chatorch.entrypoints.chatkit.part_items import (
    Json,
    call_item,
    output_of,
    outputs,
    part_id,
    sources_of,
    text_contents,
    thought_task,
    workflow_item,
)

GROWN = 1.25
"""How much longer a thought must be before it is told again: ChatKit tells the whole of it each time."""
AT_LEAST_CHARS = 200


async def answer_events(run: Run, events: AsyncGenerator[RunEvent | Silence]) -> AsyncGenerator[Encoded]:
    """Raises `CustomStreamError` at the end of a run that ended without an answer, and not because its user said so."""
    answer = _Answer(run)
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
    """What is shown of one message: an assistant's message for its texts, and items of their own for other parts.

    The message is shown as soon as the run begins. Where something else comes before any text, it is taken back, and
    comes again with the first text.
    """

    def __init__(self, run: Run) -> None:
        self._placed = {"thread_id": run.thread_id, "created_at": run.created_at}
        self._message_id = run.message_id
        self._frames = AnswerFrames(run.message_id, run.thread_id, run.created_at)
        self._draft = Draft()
        self._shown = False
        self._texts = 0
        self._sources = 0
        self._told_chars = 0
        self._items: dict[int, None] = {}
        self._calls: dict[object, list[int]] = {}
        self._outputs: dict[object, Json] = {}
        self._said = False

    def text(self, delta: PartDelta) -> Encoded:
        self._draft.append(delta.text)
        self._said = True
        return self._frames.delta(delta.text, max(self._texts - 1, 0))

    def frames_for(self, event: RunEvent) -> Iterator[Encoded]:
        match event:
            case RunStarted():
                yield from self._begin()
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
                yield from self._ended()

    def _begin(self) -> Iterator[Encoded]:
        self._shown, self._texts = True, 1
        yield from self._frames.begin()

    def _part_began(self, event: PartStarted) -> Iterator[Encoded]:
        if event.part.kind is PartKind.TEXT:
            if not self._shown:
                yield from self._begin()
            elif self._said:
                self._texts += 1
                yield self._frames.part_added(self._texts - 1)
            return
        if self._shown and not self._said:
            self._shown = False
            yield self._frames.removed(self._message_id)
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
            case PartKind.TOOL_RESULT:
                call_id = part.head.get("call_id")
                self._outputs[call_id] = output_of(part)
                for index in self._calls.get(call_id, ()) if call_id else ():
                    yield self._frames.item("replaced", self._call(index, self._draft.part(index)))
            case PartKind.SOURCE if self._shown and part.head:
                yield self._frames.annotation(max(self._texts - 1, 0), self._sources, part.head)
                self._sources += 1

    def _called(self, index: int, call: Part) -> Iterator[Encoded]:
        """A call is shown once it is whole."""
        self._add_call(index, call)
        for kind in ("added", "done"):
            yield self._frames.item(kind, self._call(index, call))

    def _add_call(self, index: int, call: Part) -> None:
        self._items[index] = None
        self._calls.setdefault(call.head.get("id"), []).append(index)

    def _replaced(self, event: Snapshot) -> Iterator[Encoded]:
        """Items that were told before are replaced, others are added, and what is no more is taken back."""
        self._draft.apply(event)
        content, told = event.content, self._items
        self._items, self._calls, self._outputs = {}, {}, outputs(content)
        self._said = bool(content.text)
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
            if index not in told and part.closed:
                yield self._frames.item("done", item)
        for index in told.keys() - self._items.keys():
            yield self._frames.removed(part_id(self._message_id, index))
        yield from self._message_replaced(content)

    def _message_replaced(self, content: Content) -> Iterator[Encoded]:
        contents = text_contents(content)
        self._texts = max(len(contents), 1)
        self._sources = len(sources_of(content)) if contents else 0
        if not self._shown and (contents or content.text_only):
            yield from self._begin()
            self._texts = max(len(contents), 1)
        if self._shown:
            yield self._frames.replaced(contents)
        last = content.parts[-1]
        if contents and last.kind is PartKind.TEXT and not last.body and not last.closed:
            self._texts += 1
            yield self._frames.part_added(self._texts - 1)

    def _ended(self) -> Iterator[Encoded]:
        """What was open stays as it is, and nothing more comes of it."""
        content = self._draft.content()
        index, last = len(content.parts) - 1, content.parts[-1]
        if not last.closed and last.kind is PartKind.REASONING:
            yield self._frames.item("done", self._thought(index, last, over=True))
        elif not last.closed and last.kind is PartKind.TOOL_CALL:
            yield from self._called(index, last)
        contents = text_contents(content)
        if self._shown and (contents or content.text_only):
            yield from self._frames.end(contents)
        elif self._shown:
            yield self._frames.removed(self._message_id)

    def _thought(self, index: int, part: Part, *, over: bool = False) -> Json:
        return {**self._placed, **workflow_item(self._message_id, index, part, over=over)}

    def _call(self, index: int, call: Part) -> Json:
        call_id = call.head.get("id")
        output = self._outputs.get(call_id) if call_id else None
        return {**self._placed, **call_item(self._message_id, index, call, output)}


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
