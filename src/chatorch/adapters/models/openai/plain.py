"""The chunks that nearly all answers are made of, read at a tenth of what any other costs."""

from typing import Annotated, Any, Literal

import msgspec

_None = Annotated[list[Any], msgspec.Meta(max_length=0)] | None
"""Several servers send empty lists with each piece."""


class Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: _None = None
    annotations: _None = None
    reasoning_details: _None = None
    thinking_blocks: _None = None
    refusal: None = None
    error: None = None
    error_code: None = None
    function_call: None = None
    thinking: None = None
    reasoning_text: None = None
    reasoning_opaque: None = None
    extra_content: None = None
    citations: None = None
    references: None = None
    context: None = None
    provider_specific_fields: None = None


class Choice(msgspec.Struct, gc=False):
    delta: Delta
    finish_reason: Literal[""] | None = None
    message: None = None
    text: None = None
    error: None = None
    error_code: None = None


class Plain(msgspec.Struct, gc=False):
    """A chunk that has a piece of text or of reasoning and nothing to think about, as nearly all are.

    Whatever is of another form is no fault, but read by `chunk_of`, with ten times the work. So a member in which that
    finds something must be named here. Others cost no object.
    """

    choices: tuple[Choice]
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    usage: Any = None
    error: None = None
    errors: None = None
    error_code: None = None
    error_msg: None = None
    error_message: None = None
    base_resp: None = None
    status: None = None
    type: None = None
    x_groq: None = None
    citations: _None = None
    search_results: _None = None
    web_search: _None = None
    references: _None = None
    search_info: None = None


class Detail(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """Words of OpenRouter's, of which `place` is all but the words."""

    text: str
    type: str | None = None
    format: str | None = None
    index: int | None = None
    id: None = None
    signature: None = None

    @property
    def place(self) -> tuple[object, ...]:
        return (self.type, self.format, self.index)


class DetailedDelta(Delta, gc=False):
    reasoning_details: Annotated[list[Detail], msgspec.Meta(max_length=1)] | None = None


class DetailedChoice(Choice, gc=False, kw_only=True):
    delta: DetailedDelta


class Repeating(Plain, gc=False, kw_only=True):
    """A chunk that says beside its piece what the one before it said as well."""

    choices: tuple[DetailedChoice]
    citations: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]
    search_results: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]


class LastChoice(Choice, gc=False, kw_only=True):
    finish_reason: Literal["stop", "length", "tool_calls"]  # type: ignore[assignment]
    usage: None = None


class Finishing(Plain, gc=False, kw_only=True):
    """A chunk that announces the end."""

    choices: tuple[LastChoice]


class Counting(Plain, gc=False, kw_only=True):
    """A chunk that counts what the answer took, and says nothing else: `stream_options` asks for it."""

    choices: tuple[()]  # type: ignore[assignment]
    usage: dict[str, Any]


plain = msgspec.json.Decoder(Plain).decode
_finishing = msgspec.json.Decoder(Finishing).decode
_counting = msgspec.json.Decoder(Counting).decode
_repeating = msgspec.json.Decoder(Repeating).decode


def closing(payload: bytes) -> Finishing | Counting | None:
    """What comes once an answer, and mostly last; None for anything else."""
    for read in (_finishing, _counting):
        try:
            return read(payload)
        except (ValueError, RecursionError):
            continue
    return None


def thought_alone(delta: Delta) -> str | None:
    """The reasoning of a piece that says nothing else: some say it twice."""
    one, other = delta.reasoning_content, delta.reasoning
    return None if delta.content or (one and other and one != other) else one or other


class Repeats:
    """Knows again what stands beside each piece: OpenRouter's form of a piece of reasoning, Perplexity's sources."""

    __slots__ = ("_place", "_sources")

    def __init__(self) -> None:
        self._sources: tuple[bytes, bytes] | None = None
        self._place: tuple[object, ...] | None = None

    def read(self, payload: bytes) -> Plain | None:
        """None where there is anything that was not said before."""
        try:
            chunk = _repeating(payload)
        except (ValueError, RecursionError):
            return None
        sources = (bytes(chunk.citations), bytes(chunk.search_results))
        delta = chunk.choices[0].delta
        detail = delta.reasoning_details[0] if delta.reasoning_details else None
        place = self._place if detail is None else detail.place
        known = sources == self._sources and place == self._place
        self._sources, self._place = sources, place
        said = detail is None or detail.text == (delta.reasoning or delta.reasoning_content)
        return chunk if known and said else None
