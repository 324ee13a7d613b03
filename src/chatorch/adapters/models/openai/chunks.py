"""What one object of a provider's says. Each member is read for itself: a strange one costs nothing but itself."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from chatorch.adapters.models.openai.calls import CallPiece, calls_in
from chatorch.adapters.models.openai.reports import Json, broken_off, report_in_part, report_of
from chatorch.adapters.models.openai.said import Spoken, plain_text, said_in, text_of
from chatorch.adapters.models.openai.sources import Source, sources_of_chunk, sources_of_message
from chatorch.domain.model.upstream_errors import UpstreamError

OTHER = "other"

_REASON = re.compile("(?=.{1,32}$)[A-Za-z]+(?:[_-][A-Za-z]+)*")
"""Words, as every provider has them. What is longer, or has digits or blanks, may be a key, or what somebody said."""
_NO_REASONS = frozenset({"", "null", "none"})


@dataclass(slots=True)
class Chunk:
    """`delta` is what to append, `message` what a whole message says; None where there is no message.

    `reason` is the finish reason, as sent where it is a word, else ``other``; `failure` is what the chunk reports, or
    its reason means.
    """

    delta: list[Spoken] = field(default_factory=list)
    message: list[Spoken] | None = None
    calls: list[CallPiece] = field(default_factory=list)
    whole_calls: list[CallPiece] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
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
    chunk.sources += sources_of_chunk(value)
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
    spoken = said_in(delta)
    if not text_of(spoken) and (text := plain_text(choice.get("text"))):
        spoken.append(Spoken(text))
    chunk.delta += spoken
    chunk.calls += calls_in(delta)
    if message is not None:
        chunk.message = (chunk.message or []) + said_in(message)
        chunk.whole_calls += calls_in(message)
    for said in (delta, message):
        chunk.sources += sources_of_message(said)
    reason = choice.get("finish_reason")
    if isinstance(reason, str) and reason.strip().lower() not in _NO_REASONS:
        chunk.reason = reason.strip() if _REASON.fullmatch(reason.strip()) else OTHER
    chunk.usage = chunk.usage or choice.get("usage")
    for place in (choice, delta, message):
        if chunk.failure is None and isinstance(place, Mapping):
            chunk.failure = report_in_part(place)
    chunk.failure = chunk.failure or broken_off(reason)
