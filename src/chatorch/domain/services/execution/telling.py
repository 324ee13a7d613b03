"""What a run says, on its way into the log: as much as there is room for, and nothing that cannot be kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from chatorch.domain.model.content import START, Content, PartDelta, PartEnded, PartStarted
from chatorch.domain.model.facts import require_head, require_storable
from chatorch.domain.model.parts import Facts
from chatorch.domain.model.run import Run, RunStatus, TerminalEvent, started_event
from chatorch.domain.model.sizes import MAX_FACTS_CHARS, PART_CHARS, size_of
from chatorch.domain.model.upstream_errors import UpstreamInvalid
from chatorch.ports.chat_model import PartEnd, PartStart
from chatorch.ports.run_log import RunLog


class Telling:
    """`begun` is whether the log is open: of a run that was taken over it is so from the first piece on. What its
    earlier attempts said stands until then, and of that `kept` stays.

    `max_chars` is how much there is room for; `answer_cap` is what the operator calls that.
    """

    __slots__ = ("_answer_cap", "_kept", "_log", "_room", "_run", "begun")

    def __init__(self, run: Run, log: RunLog, kept: Content, *, max_chars: int, answer_cap: str) -> None:
        self._run = run
        self._log = log
        self._kept = kept
        self._room = max_chars
        self._answer_cap = answer_cap
        self.begun = False
        if run.epoch == 1:
            self.begin()

    def begin(self) -> None:
        """Opens the log. Once done, a second time is nothing."""
        if self.begun:
            return
        self.begun = True
        run, log = self._run, self._log
        log.open(run.id, run.epoch, started_event(replace(run, status=RunStatus.STREAMING)))
        for event in self._kept.since(START):
            match event:
                case PartDelta():
                    self.append(event.text)
                case PartStarted():
                    self._start(PartStart(event.part.kind, event.part.head))
                case PartEnded():
                    self._end(PartEnd(event.part.result))

    def said(self) -> Content:
        """What this attempt has said: until it begins nothing, whatever is followed here of the one before."""
        return self.content() if self.begun else Content()

    def content(self) -> Content:
        """All of the answer; where this attempt has said nothing, what those before it had."""
        return (self._log.content(self._run.id) or Content()) if self.begun else self._run.content

    @property
    def over(self) -> bool:
        """Whether the end has been told, or the run was left to somebody else."""
        return self.begun and self._log.content(self._run.id) is None

    def end(self, terminal: TerminalEvent) -> None:
        self._log.end(self._run.id, terminal)

    def abandon(self) -> None:
        self._log.abandon(self._run.id)

    def append(self, text: str) -> None:
        """Raises `UpstreamInvalid` where there is no room for all of it; what there is room for has been told."""
        self._room -= len(text)
        if self._room < 0:
            if fits := text[: self._room]:
                self._log.append(self._run.id, fits)
            raise self._too_long()
        self._log.append(self._run.id, text)

    def put(self, piece: PartStart | PartEnd) -> None:
        """Raises `UpstreamInvalid` for what cannot be kept, or is too much."""
        with _kept():
            if isinstance(piece, PartStart):
                require_head(piece.kind, piece.head)
                self._start(piece)
            else:
                require_storable(piece.result)
                self._end(piece)

    def _start(self, piece: PartStart) -> None:
        self._make_room(PART_CHARS, piece.head)
        self._log.start_part(self._run.id, piece.kind, piece.head)

    def _end(self, piece: PartEnd) -> None:
        self._make_room(0, piece.result)
        self._log.end_part(self._run.id, piece.result)

    def _make_room(self, chars: int, facts: Facts) -> None:
        """For what counts beside the text. Raises `UpstreamInvalid` where there is none left."""
        size = size_of(facts)
        self._room -= chars + size
        if self._room < 0:
            raise self._too_long()
        if size > MAX_FACTS_CHARS:
            raise UpstreamInvalid("The model's provider sent a part that says too much beside its text.")

    def _too_long(self) -> UpstreamInvalid:
        return UpstreamInvalid(f"The answer is longer than {self._answer_cap} allows.")


@contextmanager
def _kept() -> Iterator[None]:
    """Of what cannot be kept it is said whose fault that is."""
    try:
        yield
    except ValueError:
        raise UpstreamInvalid("The model's provider sent a part that cannot be kept.") from None
