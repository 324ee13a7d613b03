"""What one object of a provider's says. Each member is read for itself: a strange one costs nothing but itself."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chatorch.adapters.models.openai.reports import Json, broken_off, report_in_part, report_of
from chatorch.adapters.models.upstream.payloads import Number
from chatorch.domain.model.upstream_errors import UpstreamError

REPLACEMENT = "\ufffd"
OTHER = "other"

_REASON = re.compile("(?=.{1,32}$)[A-Za-z]+(?:[_-][A-Za-z]+)*")
"""Words, as every provider has them. What is longer, or has digits or blanks, may be a key, or what somebody said."""
_MAX_DEPTH = 8
_TEXT_TYPES = frozenset({"", "text", "output_text", "text_delta", "refusal"})
_NO_REASONS = frozenset({"", "null", "none"})


@dataclass(slots=True)
class Chunk:
    """`delta` is text to append, `message` the text of a whole message; None where there is no message.

    `reason` is the finish reason, as sent where it is a word, else ``other``; `failure` is what the chunk reports, or
    its reason means.
    """

    delta: str = ""
    message: str | None = None
    reason: str | None = None
    failure: UpstreamError | None = None
    usage: object = None
    has_choice: bool = False


def chunk_of(value: Json) -> Chunk:
    """Of a `chat.completion.chunk`, a `chat.completion`, or what stands in their place."""
    choices = list(_first_choices(value.get("choices")))
    usage = value.get("usage")
    groq = value.get("x_groq")
    alone = not choices and not isinstance(usage, Mapping)
    chunk = Chunk(failure=report_of(value, alone=alone), usage=usage, has_choice=bool(choices))
    if isinstance(groq, Mapping):
        chunk.failure = chunk.failure or report_of(groq, alone=False)
        chunk.usage = chunk.usage or groq.get("usage")
    for choice in choices:
        _read_choice(choice, chunk)
    return chunk


def _first_choices(choices: object) -> Iterator[Json]:
    """What belongs to the first choice. Where there is one, it is the first, whatever its `index` says."""
    if isinstance(choices, Mapping):
        choices = [choices]
    if not isinstance(choices, list):
        return
    read = [choice for choice in choices if isinstance(choice, Mapping)]
    first = [choice for place, choice in enumerate(read) if _is_first(choice.get("index"), place)]
    yield from read if len(read) == 1 else first or read[:1]


def _is_first(index: object, place: int) -> bool:
    return place == 0 if index is None else str(index) in {"0", "0.0"}


def _read_choice(choice: Json, chunk: Chunk) -> None:
    delta, message = choice.get("delta"), choice.get("message")
    chunk.delta += _said_in(delta) or _text_in(choice.get("text"))
    if message is not None:
        chunk.message = (chunk.message or "") + _said_in(message)
    reason = choice.get("finish_reason")
    if isinstance(reason, str) and reason.strip().lower() not in _NO_REASONS:
        chunk.reason = reason.strip() if _REASON.fullmatch(reason.strip()) else OTHER
    chunk.usage = chunk.usage or choice.get("usage")
    for place in (choice, delta, message):
        if chunk.failure is None and isinstance(place, Mapping):
            chunk.failure = report_in_part(place)
    chunk.failure = chunk.failure or broken_off(reason)


def _said_in(said: object) -> str:
    """The text of a delta or a message: its content, and its refusal, which is text too."""
    if isinstance(said, Mapping):
        content, refusal = _text_in(said.get("content")), _refusal_in(said.get("refusal"))
        return content if refusal == content else content + refusal
    return said if isinstance(said, str) else ""


def _text_in(content: object, depth: int = 0) -> str:
    """Text as providers write it: a string, a number that the text looked like, parts."""
    match content:
        case str():
            return content
        case bool():
            return json.dumps(content)
        case Number():
            return content.written
        case int() | float():
            return str(content)
        case list() if depth < _MAX_DEPTH:
            return "".join(_text_in(part, depth + 1) for part in content)
        case Mapping() if depth < _MAX_DEPTH and str(content.get("type") or "").lower() in _TEXT_TYPES:
            said = (_text_in(content.get(name), depth + 1) for name in ("text", "value", "content"))
            return next(filter(None, said), "") or _refusal_in(content.get("refusal"))
    return ""


def _refusal_in(refusal: object) -> str:
    return refusal if isinstance(refusal, str) else ""
