"""What a store decides of a run when it opens it, because nobody else could decide it exactly."""

from dataclasses import dataclass

from chatorch.domain.model.errors import TooManyRuns


@dataclass(frozen=True, slots=True)
class LiveRunCap:
    """How many runs of one owner may be live at once, in all processes together.

    Admission says how many, and the store asks `require_room` in the transaction that writes the run: counted anywhere
    else, two that open one at the same time would both be let in. `detail` is what a client is told in place of the
    usual words.
    """

    most: int
    detail: str | None = None

    def require_room(self, live: int) -> None:
        """`live` is how many there are already. Raises `TooManyRuns`."""
        if live >= self.most:
            raise TooManyRuns(self.detail)
