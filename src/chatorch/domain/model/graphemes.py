"""What a reader takes for one character (UAX 29, extended grapheme clusters), as far as the standard library knows.

It has no table of the property itself, so the rules go by categories and ranges. Where they are not exact they keep
more together, never less.
"""

import re
import unicodedata
from collections.abc import Iterator

ZWJ = "\u200d"

_EXTENDING = re.compile(
    "[\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef"  # joiners, variation selectors
    "\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"  # skin tones, tags
    "\uff9e\uff9f\u0e33\u0eb3]"  # halfwidth voiced sound marks; am, of Thai and Lao
)
_PREPENDED = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]")
_REGIONAL = re.compile("[\U0001f1e6-\U0001f1ff]")
_VIRAMA = 9
"""Its canonical combining class: what follows it may form one sign with what is before."""

_L, _V, _T = "\u1100-\u115f\ua960-\ua97c", "\u1160-\u11a7\ud7b0-\ud7c6", "\u11a8-\u11ff\ud7cb-\ud7fb"
_LEADING, _VOWEL, _TRAILING = re.compile(f"[{_L}]"), re.compile(f"[{_V}]"), re.compile(f"[{_T}]")
_AFTER_LEADING = re.compile(f"[{_L}{_V}\uac00-\ud7a3]")
_AFTER_VOWEL = re.compile(f"[{_V}{_T}]")


def graphemes(text: str) -> Iterator[str]:
    """Its clusters, in order; joined they are `text`."""
    start = flags = 0
    for at in range(1, len(text)):
        before, char = text[at - 1], text[at]
        flags = flags + 1 if _REGIONAL.match(before) else 0
        if not _belong_together(before, char, flags):
            yield text[start:at]
            start = at
    if text:
        yield text[start:]


def _belong_together(before: str, char: str, flags: int) -> bool:
    """`flags`: how many regional indicators stand directly before `char`; two make a flag."""
    if before < "\u0300" and char < "\u0300":
        return False
    return bool(
        unicodedata.category(char)[0] == "M"
        or _EXTENDING.match(char)
        or before == ZWJ
        or _PREPENDED.match(before)
        or (flags % 2 and _REGIONAL.match(char))
        or (unicodedata.combining(before) == _VIRAMA and unicodedata.category(char) == "Lo")
        or _is_syllable(before, char)
    )


def _is_syllable(before: str, char: str) -> bool:
    """Hangul, composed or in letters."""
    if _LEADING.match(before):
        return bool(_AFTER_LEADING.match(char))
    composed = "\uac00" <= before <= "\ud7a3"
    ends_in_vowel = composed and (ord(before) - 0xAC00) % 28 == 0
    if _VOWEL.match(before) or ends_in_vowel:
        return bool(_AFTER_VOWEL.match(char))
    return bool((composed or _TRAILING.match(before)) and _TRAILING.match(char))
