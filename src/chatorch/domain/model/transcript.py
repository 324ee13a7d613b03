"""All that a run says, from its start over its content to its end, and what of it follows a position."""

from collections.abc import Iterator

from chatorch.domain.model.content import PIECE_CHARS, START, Content, Draft, Snapshot
from chatorch.domain.model.run import Run, RunEvent, RunStarted, TerminalEvent, started_event, terminal_event
from chatorch.domain.model.sizes import PART_CHARS, size_of


class Transcript:
    """Grows with its `draft`; `terminal` is None while the run lives."""

    __slots__ = ("draft", "started", "terminal")

    def __init__(self, started: RunStarted, draft: Draft, terminal: TerminalEvent | None = None) -> None:
        self.started = started
        self.draft = draft
        self.terminal = terminal

    def next_after(self, position: int) -> RunEvent | None:
        """The next event for a client at `position` (0: at the start); None where there is nothing more, or not yet.

        Whoever stands in an earlier epoch is given a snapshot, and then what follows it. So is a client ahead of the
        content, once the run has ended; before that it waits until it is passed.
        """
        draft, terminal = self.draft, self.terminal
        if draft.base < position < draft.tip:
            return draft.next_after(position)
        if position == draft.tip:
            return terminal
        if position <= draft.base:
            return self.snapshot() if position else self.started
        if terminal is None or position == terminal.seq:
            return None
        return self.snapshot()

    def snapshot(self) -> Snapshot:
        """For a client that must begin anew: what it cannot hold at once follows as deltas."""
        content = self.draft.content()
        cut = _as_much_as_a_piece(content)
        if cut < content.tip:
            content = content.upto(cut)
        return Snapshot(self.draft.base + content.tip, content)


def _as_much_as_a_piece(content: Content) -> int:
    """The position up to which heads, bodies and results together take no more than one piece."""
    at, room = START, PIECE_CHARS
    for index, part in enumerate(content.parts):
        if index:
            room -= PART_CHARS + size_of(part.head)
            if room < 0:
                return at
            at += 1
        fits = min(len(part.body), room)
        at, room = at + fits, room - fits
        if fits < len(part.body):
            return at
        if index and part.closed:
            room -= size_of(part.result)
            if room < 0:
                return at
            at += 1
    return at


def replay(run: Run, after: int) -> Iterator[RunEvent]:
    """What a stored run still has to say to a client that stands at position `after` (0: at the start).

    Nothing once it has the terminal event. Bodies come in pieces of `PIECE_CHARS`, each made when it is asked for.
    """
    terminal = terminal_event(run)
    if terminal is not None and after >= terminal.seq:
        return
    told = Transcript(started_event(run), Draft(run.content, run.base), terminal)
    while (event := told.next_after(after)) is not None:
        yield event
        after = event.seq
