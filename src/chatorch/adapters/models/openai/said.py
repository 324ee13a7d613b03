"""What a delta or a message says, in its order: text and reasoning, wherever a provider puts them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from chatorch.adapters.models.openai.reports import Json
from chatorch.adapters.models.openai.storable import leaves, storable
from chatorch.adapters.models.upstream.payloads import Number

_MAX_DEPTH = 8
_TEXT_TYPES = frozenset({"", "text", "output_text", "text_delta", "refusal"})
_THOUGHT_TYPES = frozenset(
    {"thinking", "thought", "thinking_delta", "redacted_thinking", "reasoning", "reasoning_content", "reasoning_text"}
)
"""Mistral and Anthropic; Databricks; Bedrock and what translates from it."""
_STRINGS = ("reasoning_content", "reasoning", "thinking", "reasoning_text")
"""DeepSeek and most; OpenRouter, Groq, Ollama, vLLM; proxies; Copilot. Some send two of them, with the same text."""
_LISTS = ("reasoning_details", "thinking_blocks")
"""OpenRouter, Vercel and MiniMax; LiteLLM."""
_TEXTS = ("text", "summary", "thinking", "reasoning", "reasoning_text", "reasoningText", "content", "summary_text")
"""Where the words of a thought stand; all else of it is not for reading."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A piece of text, or of reasoning (`thought`).

    `detail` is what else came with a piece of reasoning. `repeats`: it may be all so far, and not only what is new.
    `tagged`: the provider puts tags around it, beside saying that it is reasoning.
    """

    text: str
    thought: bool = False
    detail: Json | None = None
    repeats: bool = False
    tagged: bool = False


def said_in(said: object) -> list[Spoken]:
    """A refusal is text too, where it is not the same as the content."""
    if isinstance(said, str):
        return [Spoken(said)] if said else []
    if not isinstance(said, Mapping):
        return []
    spoken = list(_in_content(said.get("content")))
    refusal = said.get("refusal")
    if isinstance(refusal, str) and refusal and refusal != text_of(spoken):
        spoken.append(Spoken(refusal))
    if _is_thought(said):
        spoken = [replace(one, thought=True, tagged=True) for one in spoken]
    thoughts: list[Spoken] = []
    for name in _LISTS:
        thoughts = _both(thoughts, [replace(one, repeats=True) for one in _in_details(said.get(name))])
    for name in _STRINGS:
        if (value := said.get(name)) and not isinstance(value, bool):
            thoughts = _both(thoughts, list(_in_details(value)))
    if opaque := said.get("reasoning_opaque"):
        thoughts.append(Spoken("", thought=True, detail={"type": "reasoning_opaque", "data": storable(opaque)}))
    if not thoughts:
        return spoken
    content = [one for one in spoken if one.thought]
    kept = _both(thoughts, content)
    return [*kept, *(one for one in spoken if not one.thought)]


def text_of(spoken: Iterable[Spoken]) -> str:
    return "".join(one.text for one in spoken if not one.thought)


def thought_of(spoken: Iterable[Spoken]) -> str:
    return "".join(one.text for one in spoken if one.thought)


def _is_thought(said: Json) -> bool:
    """Whether the content is reasoning: Gemini says so beside it."""
    extra = said.get("extra_content")
    google = extra.get("google") if isinstance(extra, Mapping) else None
    return isinstance(google, Mapping) and google.get("thought") is True


def _both(some: list[Spoken], more: list[Spoken]) -> list[Spoken]:
    """What two members say, that which both say once."""
    one, other = thought_of(some).strip(), thought_of(more).strip()
    if not other or other in one:
        more = [replace(each, text="") for each in more if each.detail is not None]
        some = [replace(each, repeats=False) for each in some] if other else some
    elif one and one in other:
        some = [replace(each, text="") for each in some if each.detail is not None]
    return [*some, *more]


def _in_content(content: object, depth: int = 0) -> Iterator[Spoken]:
    """Text as it is, and the parts that are thinking."""
    if isinstance(content, list) and depth < _MAX_DEPTH:
        for part in content:
            yield from _in_content(part, depth + 1)
    elif isinstance(content, Mapping) and _type_of(content) in _THOUGHT_TYPES:
        yield from _in_details(content)
    elif text := plain_text(content):
        yield Spoken(text)


def _in_details(value: object) -> Iterator[Spoken]:
    """Reasoning as providers write it: a string, an object with words and what is not for reading, a list."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = plain_text(value)
    for one in leaves(value):
        if isinstance(one, str) and one:
            yield Spoken(one, thought=True)
        if isinstance(one, Mapping):
            words = _words_in(one)
            detail = {
                str(name): storable(said) for name, said in one.items() if name not in _TEXTS and said is not None
            }
            detail |= _signed(one)
            if words or len(detail) > ("type" in detail):
                yield Spoken(words, thought=True, detail=detail)


def _words_in(value: object, depth: int = 0) -> str:
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        return next((found for name in _TEXTS if (found := _words_in(value.get(name), depth + 1))), "")
    if isinstance(value, list) and depth < _MAX_DEPTH:
        return "".join(_words_in(one, depth + 1) for one in leaves(value))
    return value if isinstance(value, str) else ""


def _signed(thought: Json) -> dict[str, object]:
    """The signature that stands within the words."""
    for name in _TEXTS:
        inner = thought.get(name)
        for place in inner if isinstance(inner, list) else [inner]:
            if isinstance(place, Mapping) and (signature := place.get("signature")):
                return {"signature": storable(signature)}
    return {}


def plain_text(content: object, depth: int = 0) -> str:
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
            return "".join(plain_text(part, depth + 1) for part in content)
        case Mapping() if depth < _MAX_DEPTH and _type_of(content) in _TEXT_TYPES:
            said = (plain_text(content.get(name), depth + 1) for name in ("text", "value", "content"))
            refusal = content.get("refusal")
            return next(filter(None, said), "") or (refusal if isinstance(refusal, str) else "")
    return ""


def _type_of(part: Json) -> str:
    return str(part.get("type") or "").lower()
