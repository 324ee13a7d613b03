"""One step of a turn as its model says it: parts, of which the calls are told who is to carry them out."""

import re
from collections.abc import Iterator

from chatorch.domain.model.calls import call_head
from chatorch.domain.model.parts import NOTHING, Facts, Part, PartKind
from chatorch.domain.model.tools import MAX_NAME_CHARS, CarriedOutBy
from chatorch.domain.services.toolbox import Offer
from chatorch.ports.chat_model import PartEnd, PartStart

NAMELESS = "unknown"
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


def name_in(head: Facts) -> str:
    """Which tool a model calls. One by a name that no tool can have gets one that could be: providers refuse a history
    with any other in it."""
    return _UNFIT.sub("_", str(head["name"]))[:MAX_NAME_CHARS] or NAMELESS


class SpokenStep:
    """Passes on what a model says, and remembers it. `is_first`: the text part that a message begins with is open.

    Later ones begin where no part is open, so text that the model says without a word gets a part of its own. A call
    whose id is in `ids` already gets another: results find their calls by them.
    """

    def __init__(self, offer: Offer, ids: set[str], *, is_first: bool) -> None:
        self.parts: list[Part] = []
        self._offer = offer
        self._ids = ids
        self._repeats: dict[str, int] = {}
        self._open: PartKind | None = PartKind.TEXT if is_first else None
        self._ours = False
        self._head: Facts = NOTHING
        self._body: list[str] = []
        self.is_first = is_first

    def say(self, text: str) -> PartStart | None:
        """Text was said. What is to be told before it."""
        start = None
        if self._open is None:
            start = PartStart(PartKind.TEXT)
            self._begin(start)
            self._ours = True
        self._body.append(text)
        return start

    def start(self, piece: PartStart) -> Iterator[PartStart | PartEnd]:
        """A part begins: what is to be told instead."""
        yield from self.close()
        if piece.kind is PartKind.TOOL_CALL:
            piece = PartStart(piece.kind, self._offered(piece.head))
        self._begin(piece)
        yield piece

    def end(self, piece: PartEnd) -> PartEnd:
        self._keep(piece.result)
        return piece

    def close(self) -> Iterator[PartEnd]:
        """Ends what the model does not know to be open."""
        if self._open is None:
            return
        ours = self._ours
        self._keep(NOTHING)
        if ours:
            yield PartEnd()

    @property
    def calls(self) -> list[Part]:
        return [part for part in self.parts if part.kind is PartKind.TOOL_CALL]

    def _begin(self, piece: PartStart) -> None:
        self._open, self._head, self._ours = piece.kind, piece.head, False

    def _keep(self, result: Facts) -> None:
        if self._open is not None:
            self.parts.append(Part(self._open, self._head, "".join(self._body), result, closed=True))
        self._open, self._head, self._ours = None, NOTHING, False
        self._body.clear()

    def _another(self, ident: str) -> str:
        while (other := f"{ident}_{self._repeats.get(ident, 2)}") in self._ids:
            self._repeats[ident] = self._repeats.get(ident, 2) + 1
        return other

    def _offered(self, head: Facts) -> Facts:
        """Of a tool that nobody has, the model is told so by us."""
        ident = str(head["id"]) or NAMELESS
        name = name_in(head)
        if ident in self._ids:
            ident = self._another(ident)
        self._ids.add(ident)
        tool = self._offer.tools.get(name)
        by = tool.by if tool else CarriedOutBy.SERVER
        return call_head(ident, name, by, needs_approval=bool(tool and tool.needs_approval))
