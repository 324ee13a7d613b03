"""What an answer cost, as providers count it."""

from collections.abc import Iterator, Mapping

from chatorch.domain.model.conversation import Usage, UsageSource

_MAX_TOKENS = 2**31 - 1
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
"""OpenAI's details and Moonshot; DeepSeek; what comes from Anthropic."""
_REASONED = ("reasoning_tokens",)
_PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_COMPLETION_DETAILS = ("completion_tokens_details", "output_tokens_details")


def counted(usage: object) -> Usage | None:
    """None for what is no count: a whole answer must not fail for it. Of a detail that is none: 0."""
    if not isinstance(usage, Mapping):
        return None
    counts = [usage.get(name) or 0 for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    if not all(isinstance(count, int | float) and 0 <= count <= _MAX_TOKENS for count in counts):
        return None
    prompt, completion, total = map(int, counts)
    return Usage(
        prompt,
        completion,
        total or prompt + completion,
        UsageSource.PROVIDER,
        cached_tokens=_first(_CACHED, *_places(usage, _PROMPT_DETAILS)),
        reasoning_tokens=_first(_REASONED, *_places(usage, _COMPLETION_DETAILS)),
    )


def _places(usage: Mapping[str, object], details: tuple[str, ...]) -> Iterator[Mapping[str, object]]:
    yield from (inner for name in details if isinstance(inner := usage.get(name), Mapping))
    yield usage


def _first(names: tuple[str, ...], *places: Mapping[str, object]) -> int:
    """The first of these members that counts anything."""
    said = (place.get(name) for place in places for name in names)
    counts = (int(n) for n in said if isinstance(n, int | float) and not isinstance(n, bool) and 0 < n <= _MAX_TOKENS)
    return next(counts, 0)
