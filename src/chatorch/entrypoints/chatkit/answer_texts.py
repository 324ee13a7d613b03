"""The assistant's messages in an answer: one for each step that says something, so that calls stand between them."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from chatorch.domain.model.calls import AFTERWARDS
from chatorch.domain.model.content import Content
from chatorch.domain.model.parts import Facts, Part, PartKind
from chatorch.domain.model.run import Run
from chatorch.entrypoints.chatkit.frames import AnswerFrames, Encoded
from chatorch.entrypoints.chatkit.part_items import Json, part_id, text_contents


@dataclass(frozen=True, slots=True)
class SaidStep:
    """What one step says, as an item; it stands where its first text is, at `place`."""

    item_id: str
    begins: int
    place: int
    contents: list[Json]


def said_steps(message_id: str, parts: Sequence[Part]) -> Iterator[SaidStep]:
    """The first that says something has the message's id."""
    begins = [0, *(at for at in range(1, len(parts)) if begins_step(parts[at - 1], parts[at]))]
    item_id = message_id
    for begin, end in zip(begins, [*begins[1:], len(parts)], strict=True):
        if contents := text_contents(parts[begin:end]):
            texts = [at for at in range(begin, end) if parts[at].kind is PartKind.TEXT]
            place = next(at for at in texts if parts[at].body)
            yield SaidStep(item_id if item_id == message_id else part_id(message_id, texts[0]), begin, place, contents)
            item_id = ""


def begins_step(before: Part, part: Part) -> bool:
    """Whether the model goes on by it, having heard what came of its calls."""
    return before.kind in AFTERWARDS and part.kind not in AFTERWARDS


class AnswerTexts:
    """One is shown as soon as the run begins. Where something else comes before any text, it is taken back, and comes
    again with the first text.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._frames = self._frames_of(run.message_id)
        self._told: dict[str, None] = {}
        self._item_id: str | None = run.message_id
        self._begins = 0
        self._earlier_said = self._shown = self._said = False
        self._texts = self._sources = 0

    def begin(self) -> Iterator[Encoded]:
        self._shown, self._texts = True, 1
        self._told[self._item_id or self._run.message_id] = None
        yield from self._frames.begin()

    def delta(self, text: str) -> Encoded:
        self._said = True
        return self._frames.delta(text, self._texts - 1 if self._texts else 0)

    def text_began(self, index: int) -> Iterator[Encoded]:
        if self._item_id is None:
            self._item_id = part_id(self._run.message_id, index) if self._earlier_said else self._run.message_id
            self._frames = self._frames_of(self._item_id)
        if not self._shown:
            yield from self.begin()
        elif self._said:
            self._texts += 1
            yield self._frames.part_added(self._texts - 1)

    def other_began(self) -> Iterator[Encoded]:
        if self._shown and not self._said:
            yield self._take_back()

    def step_began(self, index: int, parts: Sequence[Part]) -> Iterator[Encoded]:
        """What the step before said is whole."""
        if self._shown:
            yield from self._frames.end(text_contents(parts[self._begins : index]))
            self._earlier_said = True
        self._begins, self._item_id = index, None
        self._shown = self._said = False
        self._texts = self._sources = 0

    def source(self, source: Facts) -> Iterator[Encoded]:
        if self._shown:
            yield self._frames.annotation(max(self._texts - 1, 0), self._sources, source)
            self._sources += 1

    def replaced(self, content: Content) -> Iterator[Encoded]:
        """Whatever was told before: what is no more is taken back."""
        parts, message_id, told = content.parts, self._run.message_id, self._told
        self._told = {}
        steps = list(said_steps(message_id, parts))
        at = range(1, len(parts))
        self._begins = max((each for each in at if begins_step(parts[each - 1], parts[each])), default=0)
        now = next((step for step in steps if step.begins == self._begins), None)
        for step in steps:
            if step is not now:
                self._told[step.item_id] = None
                frames = self._frames_of(step.item_id)
                again = step.item_id in told
                yield from [frames.replaced(step.contents)] if again else [*frames.begin(), *frames.end(step.contents)]
        self._earlier_said = bool(self._told)
        yield from self._now_replaced(content, now, told)
        for item_id in told.keys() - self._told.keys():
            yield self._frames.removed(item_id)

    def _now_replaced(self, content: Content, now: SaidStep | None, told: Container[str]) -> Iterator[Encoded]:
        """The step that the content ends with."""
        parts = content.parts[self._begins :]
        texts = [at for at, part in enumerate(parts, self._begins) if part.kind is PartKind.TEXT]
        self._item_id = None
        if texts:
            first = part_id(self._run.message_id, texts[0])
            self._item_id = first if self._earlier_said else self._run.message_id
            self._frames = self._frames_of(self._item_id)
        contents = now.contents if now else []
        self._said, self._texts = bool(contents), max(len(contents), 1)
        self._sources = len(contents[-1]["annotations"]) if contents else 0
        last = parts[-1]
        begun = last.kind is PartKind.TEXT and not last.closed
        self._shown = bool(contents or begun)
        if self._shown and self._item_id is not None:
            if self._item_id not in told:
                yield from self._frames.begin()
            self._told[self._item_id] = None
            yield self._frames.replaced(contents)
            if contents and begun and not last.body:
                self._texts += 1
                yield self._frames.part_added(self._texts - 1)

    def ended(self, content: Content) -> Iterator[Encoded]:
        contents = text_contents(content.parts[self._begins :])
        if self._shown and (contents or content.text_only):
            yield from self._frames.end(contents)
        elif self._shown:
            yield self._take_back()

    def _take_back(self) -> Encoded:
        self._shown = False
        item_id = self._item_id or self._run.message_id
        del self._told[item_id]
        return self._frames.removed(item_id)

    def _frames_of(self, item_id: str) -> AnswerFrames:
        return AnswerFrames(item_id, self._run.thread_id, self._run.created_at)
