"""The reasoning part that is open: what it says, and what came with it that is not for reading."""

from collections.abc import Mapping
from typing import Any

from chatorch.adapters.models.openai.reports import Json
from chatorch.adapters.models.openai.said import Spoken
from chatorch.adapters.models.openai.storable import weight
from chatorch.domain.model.parts import NOTHING, Facts

_PLAIN = frozenset({"type", "index", "id", "format", "closed"})
"""Members that say nothing beside the words."""
_WORDLESS = ("encrypted", "redacted", "opaque")
_LOOKED_AT = 8


class Thoughts:
    """Details that belong together are one: same type and index. `result` is what the part ends with."""

    __slots__ = ("_details", "_repeating", "body", "opaque", "worded")

    def __init__(self) -> None:
        self.body: list[str] = []
        self.opaque = False
        self._details: list[dict[str, Any]] = []
        self._repeating = False
        self.worded = False  # some came otherwise than in lists

    def result(self) -> Facts:
        """Where nothing is to be kept beside the words: nothing."""
        details, opaque = self._details, self.opaque
        self._details, self.opaque = [], False
        return {"details": details} if opaque else NOTHING

    def begins_another(self, spoken: Spoken) -> bool:
        """Whether these words belong to another block than those that were signed, or followed by a sealed one."""
        if not (spoken.text and spoken.detail is not None and self.opaque):
            return False
        indexes = [each.get("index") for each in self._details if not _is_wordless(each)]
        return _is_opaque(spoken.detail) or spoken.detail.get("index") not in indexes[-1:]

    def news(self, spoken: Spoken, *, is_open: bool) -> str:
        """What of these words has not been said: a few send all of them again, each time or at the end."""
        if not spoken.repeats:
            self.worded = True
            return spoken.text
        told = "".join(self.body)
        self.body = [told]
        if self.worded:
            return "" if spoken.text == told else spoken.text
        longer = is_open and told and len(spoken.text) > len(told)
        if spoken.text.startswith(told) and (longer or self._repeating):
            self._repeating = True
            return spoken.text[len(told) :]
        return spoken.text

    def keep(self, detail: Json) -> int:
        """How much longer all details are by this one, in code points."""
        self.opaque = self.opaque or _is_opaque(detail)
        if _is_wordless(detail):
            if detail in self._details[-1:]:
                return 0
        else:
            for known in self._details[-_LOOKED_AT:]:
                if not _is_wordless(known) and _alike(known, detail):
                    return _merge(known, detail)
        self._details.append(dict(detail))
        return weight(detail)


def _is_opaque(detail: Json) -> bool:
    return any(said for name, said in detail.items() if name not in _PLAIN)


def _is_wordless(detail: Json) -> bool:
    kind = str(detail.get("type") or "").lower()
    return any(word in kind for word in _WORDLESS)


def _alike(known: Mapping[str, Any], detail: Json) -> bool:
    return known.get("type") == detail.get("type") and known.get("index") == detail.get("index")


def _merge(known: dict[str, Any], detail: Json) -> int:
    size = 0
    for name, said in detail.items():
        before = known.get(name)
        if said in (None, "") or said == before or (before and name in _PLAIN):
            continue
        # A signature may come in pieces.
        known[name] = before + said if isinstance(before, str) and isinstance(said, str) else said
        size += weight(said)
    return size
