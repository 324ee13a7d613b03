"""What a thread is called before anybody gives it a name."""

import re
import unicodedata

from chatorch.domain.model.graphemes import graphemes
from chatorch.domain.model.text import blank

MAX_TITLE_CHARS = 80
UNTITLED = "New chat"
MAX_SEARCHED = 10_000
"""In so many characters something to see is looked for: an operator may let messages be large."""

_CONTROLS = frozenset({"Cc", "Cs"})
_UNSHOWN = re.compile(
    "[\u202a-\u202e\u2066-\u2069"  # turn the text around them, whose end may be cut off
    "\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0001\ufdd0-\ufdef\ufffe\uffff]"  # mean nothing in a title
)
_STRAY_TAGS = re.compile("(?<![\u2190-\u2bff\ufe0f\U0001f000-\U0001faff\U000e0020-\U000e007f])[\U000e0020-\U000e007f]+")
"""Tags that name no flag are hidden text."""


def title_from(content: str) -> str:
    """A thread's first title: the first line with something to see, on one line, cut at a word where possible.

    What has no shape of its own stays where a sign is made with it: joiners, tags, variation selectors. Nothing that
    a reader takes for one character is cut in two.
    """
    lines = map(_on_one_line, content[:MAX_SEARCHED].splitlines())
    line = next((line for line in lines if not blank(line)), "")
    if len(line) <= MAX_TITLE_CHARS:
        return line or UNTITLED
    cut = ""
    for grapheme in graphemes(line):
        if len(cut) + len(grapheme) >= MAX_TITLE_CHARS:
            break
        cut += grapheme
    at_word = cut.rsplit(" ", 1)[0]
    return (at_word if len(at_word) > MAX_TITLE_CHARS // 2 else cut) + "…" if cut else UNTITLED


def _on_one_line(line: str) -> str:
    kept = _STRAY_TAGS.sub("", _UNSHOWN.sub("", line))
    return " ".join("".join(c for c in kept if c.isspace() or unicodedata.category(c) not in _CONTROLS).split())
