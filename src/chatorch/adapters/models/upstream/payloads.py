"""One payload of a provider's: JSON as it is meant, keep-alive words, several values at once, or nothing readable."""

import json
import re
from enum import Enum


class Word(Enum):
    """What a payload, or a part of it, is that is no JSON."""

    DONE = "the end"
    IDLE = "means nothing: a keep-alive, a stray bracket"
    ERROR = "says that something failed"
    UNKNOWN = "may mean anything, but is no part of an answer"
    BROKEN = "was meant to be JSON, and text may be lost with it"


_DONE = re.compile(r"""b?["'\s]{0,9}\[\s*done\s*\]["'\s]{0,9}""", re.IGNORECASE)
_BETWEEN = re.compile(r"(?:[\s,\]\ufeff]|data:|\[(?!\s*done\s*\]))*", re.IGNORECASE)
_NO_WORD = re.compile(r"(?:[^\w\ufffd]|_)*")
_END = {"done", "end", "eof"}
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
_ERROR = {
    "aborted", "crashed", "denied", "disconnect", "disconnected", "error", "errors", "exception", "failed", "failure",
    "fatal", "forbidden", "gateway", "html", "overloaded", "refused", "terminated", "timeout", "traceback",
    "unauthorized", "unavailable",
}  # fmt: skip
_MAX_IDLE_WORDS = 3
_MAX_VALUES = 20_000
_MAX_DIGITS = 1000


class Number(float):
    """As it was written: it may be text that the provider took for one."""

    def __new__(cls, written: str) -> "Number":
        number = super().__new__(cls, written)
        number.written = written
        return number

    written: str


def _integer(written: str) -> int | Number:
    return int(written) if len(written) <= _MAX_DIGITS else Number(written)


# A line break in a string is no reason to lose it.
_decoder = json.JSONDecoder(parse_float=Number, parse_int=_integer, strict=False)


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
            values.append(_word(text[at:], is_first=not values))
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


def _word(text: str, *, is_first: bool) -> Word:
    if (is_first and text.startswith(":")) or _NO_WORD.fullmatch(text):
        return Word.IDLE
    if "{" in text or text.count('"') % 2 or '":' in text:
        return Word.BROKEN
    words = re.findall(r"[^\W_]+", text.lower())
    if len(words) == 1 and words[0] in _END:
        return Word.DONE
    if not _ERROR.isdisjoint(words):
        return Word.ERROR
    return Word.IDLE if len(words) <= _MAX_IDLE_WORDS and not _IDLE.isdisjoint(words) else Word.UNKNOWN
