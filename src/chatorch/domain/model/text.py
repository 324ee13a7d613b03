"""Text as a reader sees it, and as all stores can hold it: what is blank, and what stands for what cannot be stored."""

import re
import unicodedata

REPLACEMENT = "\ufffd"

_UNSEEN = frozenset(
    # Braille without a dot; what joins graphemes; Hangul and Khmer letters that only fill a place
    "\u2800\u034f\u115f\u1160\u3164\uffa0\u17b4\u17b5"
    # What chooses a variant of the character before it
    + "".join(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
_SEEN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
"""Format characters that have a shape: number signs and the like (Unicode: Prepended_Concatenation_Mark)."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def storable_text(text: str) -> str:
    """The text with U+FFFD for NUL and for each half of a character; two halves that belong together become one."""
    if not text.isascii() and _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", REPLACEMENT) if "\0" in text else text


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
