"""One payload of a provider's: JSON as it is meant, keep-alive words, several values at once, or nothing readable."""

import json
import re
from decimal import Decimal
from enum import Enum


class Word(Enum):
    """What a payload, or a part of it, is that is no JSON."""

    DONE = "the end"
    IDLE = "means nothing: a keep-alive, a stray bracket"
    ERROR = "says that something failed"
    UNKNOWN = "may mean anything, but is no part of an answer"
    BROKEN = "was meant to be JSON, and text may be lost with it"


_DONE = re.compile(r"""["'\s]{0,9}\[\s*done\s*\]["'\s]{0,9}""", re.IGNORECASE)
_BETWEEN = re.compile(r"(?:[\s,\]\ufeff]|data:|\[(?!\s*done\s*\]))*", re.IGNORECASE)
_NO_WORD = re.compile(r"(?:[^\w\ufffd]|_)*")
_IDLE = {
    "alive",
    "heartbeat",
    "idle",
    "keepalive",
    "noop",
    "none",
    "ok",
    "ping",
    "pong",
    "processing",
    "queued",
    "waiting",
}
_ERROR = {"error", "exception", "traceback", "failed", "failure"}
_MAX_IDLE_WORDS = 3
_MAX_VALUES = 20_000

# A number may be text that the provider took for one; a line break in a string is no reason to lose it.
_decoder = json.JSONDecoder(parse_float=Decimal, strict=False)


def values_of(payload: bytes, *, nested: bool = False) -> list[object]:
    """The values in `payload`, in order: JSON, and a `Word` where something else stands."""
    return _values_in(payload.decode("utf-8", "replace"), nested=nested)


def _values_in(text: str, *, nested: bool) -> list[object]:
    values: list[object] = []
    at = 0
    while (at := _end_of(_BETWEEN, text, at)) < len(text):
        if done := _DONE.match(text, at):
            values.append(Word.DONE)
            at = done.end()
            continue
        try:
            value, at = _decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            values.append(_word(text[at:]))
            break
        if isinstance(value, str) and not nested:
            values.extend(_values_in(value, nested=True))  # JSON in a JSON string
        else:
            values.append(value if isinstance(value, dict) else Word.IDLE)
        if len(values) > _MAX_VALUES:
            return [Word.BROKEN]
    return values or [Word.IDLE]


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()


def _word(text: str) -> Word:
    if text.startswith(":") or _NO_WORD.fullmatch(text):
        return Word.IDLE
    if "{" in text or '"' in text:
        return Word.BROKEN
    words = re.findall(r"[^\W_]+", text.lower())
    if not _ERROR.isdisjoint(words):
        return Word.ERROR
    return Word.IDLE if len(words) <= _MAX_IDLE_WORDS and not _IDLE.isdisjoint(words) else Word.UNKNOWN
