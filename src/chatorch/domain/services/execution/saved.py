"""How much of a live run its row has, and what a checkpoint brings so that it has all."""

from dataclasses import dataclass

from chatorch.domain.model.content import START, Content
from chatorch.domain.model.conversation import Usage
from chatorch.domain.model.part_pieces import pieces
from chatorch.domain.model.run import Run
from chatorch.ports.execution_store import Checkpoint

SHORT_CHARS = 500
"""A text of so many code points is saved whole each time: a row more, and taking it away again, costs as much."""


@dataclass(slots=True)
class Saved:
    """`chars` of the text, the other parts up to `tip`, and `kept` (see `Checkpoint`): as far as the store has said so.

    The text was last saved whole with `whole_chars`. Until a whole is known to be saved, which is 0, nobody knows where
    a tail would begin.
    """

    chars: int = 0
    whole_chars: int = 0
    tip: int = START
    kept: int = 0

    def checkpoint(self, run: Run, content: Content, kept: int, kept_usage: Usage | None) -> Checkpoint:
        """The tail of the text, or the whole where that is short or has doubled: all that is saved is a few times as
        long as the text. Of the other parts what is new.
        """
        start, text = self.chars, content.text
        parts, tip = ((), None) if content.text_only else (pieces(content, self.tip), content.tip)
        now_kept = used = None
        if kept > self.kept:
            now_kept, used, tip = kept, kept_usage, content.tip
        if len(text) == start:
            return Checkpoint(run.id, run.epoch, None, 0, parts, tip, now_kept, used)
        if len(text) <= SHORT_CHARS or len(text) >= 2 * self.whole_chars:
            self.whole_chars = 0
            return Checkpoint(run.id, run.epoch, text, 0, parts, tip, now_kept, used)
        return Checkpoint(run.id, run.epoch, text[start:], start, parts, tip, now_kept, used)

    def note(self, checkpoint: Checkpoint) -> None:
        """The store has taken it."""
        if checkpoint.kept is not None:
            self.kept = checkpoint.kept
        if checkpoint.says_more:
            self.tip = checkpoint.position
        if checkpoint.text is not None:
            self.chars = checkpoint.start + len(checkpoint.text)
            self.whole_chars = self.whole_chars or self.chars
