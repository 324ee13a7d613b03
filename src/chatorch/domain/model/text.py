"""Text as a reader sees it: what is blank, and what makes a title."""

import re
import unicodedata

from chatorch.domain.model.graphemes import graphemes

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

_UNSEEN = frozenset(
    # Braille without a dot; what joins graphemes; Hangul and Khmer letters that only fill a place
    "\u2800\u034f\u115f\u1160\u3164\uffa0\u17b4\u17b5"
    # What chooses a variant of the character before it
    + "".join(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
_SEEN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
"""Format characters that have a shape: number signs and the like (Unicode: Prepended_Concatenation_Mark)."""


def blank(text: str) -> bool:
    """Whether nothing of it can be seen: white space, control and format characters, or none at all.

    By Unicode's categories Z, Cc and Cf, and what else it counts as ignorable by default. A format character within a
    text (a joiner in an emoji, or between letters) leaves the text visible.
    """
    if "!" <= text[:1] <= "~":  # nearly every message, and a history is a hundred of them
        return False
    return all(map(_unseen, text))


def _unseen(character: str) -> bool:
    if character in _UNSEEN:
        return True
    category = unicodedata.category(character)
    return category[0] == "Z" or category == "Cc" or (category == "Cf" and character not in _SEEN)


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
