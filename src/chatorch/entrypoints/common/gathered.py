"""A text that comes in pieces and is told as a whole."""

Gathered = tuple[str, ...]
"""A text that grows: a value, like any state of an encoder, of pieces of which each is longer than the next."""


def gathered(so_far: Gathered, text: str) -> Gathered:
    """Each character is copied as often as the text doubles, not once a piece."""
    pieces = [*so_far, text]
    while len(pieces) > 1 and len(pieces[-2]) <= len(pieces[-1]):
        last = pieces.pop()
        pieces[-1] += last
    return tuple(pieces)
