"""Parts as a store is told of them: in pieces, as they grow, beside the joined text; and put together again."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter

from chatorch.domain.model.content import START, Content
from chatorch.domain.model.parts import NOTHING, Facts, Part, PartKind


@dataclass(frozen=True, slots=True)
class PartPiece:
    """What a store is told of the part `index` (1 and up): its body from `start` on; its head comes each time.

    The body of a text part is in the joined text, where it begins at `text_at`; here it is empty. `closed` and `result`
    as in `Part`. Pieces of one place replace each other.
    """

    index: int
    kind: PartKind
    head: Facts
    start: int
    body: str
    result: Facts = field(default_factory=lambda: NOTHING)
    closed: bool = False
    text_at: int | None = None


def pieces(content: Content, saved: int = START) -> tuple[PartPiece, ...]:
    """What of the parts beside the first follows the position `saved`. With the joined text it is all that is new."""
    found: list[PartPiece] = []
    at = text_at = 0
    for index, part in enumerate(content.parts):
        begins = at + 1
        at = begins + len(part.body) + part.closed
        if index and at > saved:
            if part.kind is PartKind.TEXT:
                piece = PartPiece(index, part.kind, part.head, 0, "", part.result, part.closed, text_at)
            else:
                start = max(saved - begins, 0)
                piece = PartPiece(index, part.kind, part.head, start, part.body[start:], part.result, part.closed)
            found.append(piece)
        if part.kind is PartKind.TEXT:
            text_at += len(part.body)
    return tuple(found)


def assembled(text: str, saved: Iterable[PartPiece] = ()) -> Content:
    """The content of which `text` is the joined text, and `saved` are the pieces, by index and start."""
    parts = [Part(PartKind.TEXT)]
    begins = [0]
    for _, same in groupby(saved, attrgetter("index")):
        first, *others = same
        last = others[-1] if others else first
        body = "".join(piece.body for piece in (first, *others))
        parts.append(Part(first.kind, first.head, body, last.result, last.closed))
        if first.text_at is not None:
            begins.append(first.text_at)
    ends = iter([*begins[1:], len(text)])
    starts = iter(begins)
    return Content(
        tuple(
            replace(part, body=text[next(starts) : next(ends)]) if part.kind is PartKind.TEXT else part
            for part in parts
        )
    )
