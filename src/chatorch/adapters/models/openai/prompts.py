"""A message of a prompt, as it is sent."""

from collections.abc import Iterator, Mapping
from typing import Any

from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.parts import Part

_WORDS = {"reasoning.text": "text", "reasoning.summary": "summary", "thinking": "thinking"}
"""Where a detail of this type has the words that it was kept without."""


def message_of(message: PromptMessage) -> dict[str, Any]:
    """Reasoning goes as DeepSeek and most others have it, and as OpenRouter wants it back where it was signed."""
    sent: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning:
        if words := "".join(part.body for part in message.reasoning):
            sent["reasoning_content"] = words
        if details := [detail for part in message.reasoning for detail in _details_of(part)]:
            sent["reasoning_details"] = details
    return sent


def _details_of(part: Part) -> Iterator[dict[str, Any]]:
    """As they came: the first that had words gets those of the part."""
    words: str | None = part.body
    for detail in part.result.get("details", ()):
        if not isinstance(detail, Mapping):
            continue
        name = _WORDS.get(str(detail.get("type")))
        yield dict(detail) if name is None or words is None else {**detail, name: words}
        if name is not None:
            words = None
