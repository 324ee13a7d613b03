"""What may stand in the head or the result of a part: whatever a model says is kept as it is, and told to clients."""

import math
import re
from collections.abc import Mapping

from chatorch.domain.model.parts import Facts, PartKind

_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_DEPTH = 32
_MAX_INTEGER = 2**63
_TEXTS = {
    PartKind.TOOL_CALL: ("id", "name"),
    PartKind.TOOL_RESULT: ("call_id", "status"),
    PartKind.FILE: ("file_id",),
    PartKind.DATA: ("name",),
}
"""What a head must have, as texts."""


def require_head(kind: PartKind, head: Facts) -> None:
    """Raises `ValueError` for a head that lacks what its kind must have; and as `require_storable`."""
    require_storable(head)
    texts = tuple(head) if kind is PartKind.SOURCE else _TEXTS.get(PartKind(kind), ())
    if not all(isinstance(head.get(name), str) for name in texts):
        raise ValueError("a head that lacks what its kind has")


def require_storable(facts: object) -> None:
    """Raises `ValueError` for what is no JSON object, or one that not all stores and clients can hold: with NUL, lone
    surrogates, numbers of more than 64 bits, or too deep."""
    if not (isinstance(facts, Mapping) and _storable(facts, _MAX_DEPTH)):
        raise ValueError("a head or a result that cannot be stored")


def _storable(value: object, depth: int) -> bool:
    match value:
        case str():
            return "\0" not in value and (value.isascii() or not _SURROGATE.search(value))
        case Mapping():
            names = all(isinstance(name, str) and _storable(name, depth) for name in value)
            return depth > 0 and names and all(_storable(said, depth - 1) for said in value.values())
        case list() | tuple():
            return depth > 0 and all(_storable(said, depth - 1) for said in value)
        case None | bool():
            return True
        case int():
            return -_MAX_INTEGER <= value < _MAX_INTEGER
        case float():
            return math.isfinite(value)
    return False
