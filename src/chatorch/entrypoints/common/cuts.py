"""Where a text is cut into events that are numbered: at places that are a function of the text alone.

So that a replay from any number tells the same events under the same numbers as were told live, however the text came:
in the pieces of a provider, of a log, or as a whole out of the store.
"""

import re

MOST_CHARS = 32
_WHITE_END = re.compile(r"\s(?=\S)")
"""Where a run of white space ends that something follows."""


class Cuts:
    """Takes a text as it comes, and gives it in pieces that end behind a run of white space, or each 32 code points.

    A piece is given when it is known where it ends, which only what follows it says: at the end it is `flush`ed.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> list[str]:
        """The pieces that are complete by now."""
        pieces, self._held = cut(self._held, text)
        return pieces

    def flush(self) -> str:
        """What is left, and ends here; empty where there is nothing."""
        left, self._held = self._held, ""
        return left


def cut(held: str, text: str) -> tuple[list[str], str]:
    """As `Cuts.feed`, for who keeps what is held elsewhere: the pieces that are complete by now, and what is left."""
    held, pieces, begin = held + text, [], 0
    while (end := _end_of_piece(held, begin)) is not None:
        pieces.append(held[begin:end])
        begin = end
        if len(held) - begin < MOST_CHARS and (rest := held[begin:]).isalnum():
            return pieces, rest  # as mostly: a word, which ends nowhere yet
    return pieces, held[begin:]


def _end_of_piece(text: str, begin: int) -> int | None:
    """Where the piece ends that begins there; None where that is not known yet."""
    limit = begin + MOST_CHARS
    if found := _WHITE_END.search(text, begin, limit + 1):
        return found.end()
    return limit if len(text) >= limit else None
