"""How much an answer takes beside its text, counted in code points as its text is."""

from collections.abc import Mapping

from chatorch.domain.model.content import Content
from chatorch.domain.model.parts import PartKind

PART_CHARS = 100
"""What a part takes by being one: about what its row, and its place in memory, cost. So parts without words end too."""

MAX_FACTS_CHARS = 500_000
"""No head and no result may be longer: each is told at once, and many clients take no frame over 1 MiB."""


def size_of(facts: object) -> int:
    """Of a head or a result: all names and texts in it, and one for each value."""
    if isinstance(facts, str):
        return 1 + len(facts)
    if isinstance(facts, Mapping):
        return sum(len(str(name)) + size_of(said) for name, said in facts.items())
    if isinstance(facts, list | tuple):
        return 1 + sum(map(size_of, facts))
    return 1


def chars_by_kind(content: Content) -> dict[PartKind, tuple[int, ...]]:
    """How long the bodies of its parts are, without an empty first one."""
    sizes: dict[PartKind, tuple[int, ...]] = {}
    for _, part in content.shown():
        sizes[part.kind] = (*sizes.get(part.kind, ()), len(part.body))
    return sizes
