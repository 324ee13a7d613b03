"""An answer, whole: https://platform.openai.com/docs/api-reference/chat/object.

A call that the model made unasked is not told: to these clients it is theirs to carry out, and they have offered no
tool. Whoever sent it back, as all of them do, could not go on. `/api/runs/{run_id}` has it.
"""

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import Usage
from chatorch.domain.model.parts import Facts, Part, PartKind
from chatorch.domain.model.run import Run, RunCompleted
from chatorch.entrypoints.common.views import Json

COMPLETION = "chat.completion"
FINISH_REASONS = frozenset({"stop", "length", "content_filter"})
"""Those that mean something to a client without tools; a provider may have others."""


def head(run: Run, kind: str) -> Json:
    """What a completion and its chunks have in common: the same for a run, whenever it is asked."""
    return {
        "id": completion_id(run),
        "object": kind,
        "created": int(run.created_at.timestamp()),
        "model": run.model,
    }


def completion_id(run: Run) -> str:
    return "chatcmpl-" + run.id.removeprefix("run_")


def completion_view(run: Run, content: Content, end: RunCompleted) -> Json:
    choice = {
        "index": 0,
        "message": message_view(content),
        "logprobs": None,
        "finish_reason": finish_reason(end),
    }
    return {**head(run, COMPLETION), "choices": [choice], "usage": usage_view(end.usage)}


def message_view(content: Content) -> Json:
    """`reasoning_content` as DeepSeek, vLLM and others have it."""
    by_kind: dict[PartKind, list[Part]] = {}
    for part in content.parts:
        by_kind.setdefault(part.kind, []).append(part)
    thought = "".join(part.body for part in by_kind.get(PartKind.REASONING, ()))
    sources = [found for part in by_kind.get(PartKind.SOURCE, ()) for found in citations(part.head)]
    view: Json = {"role": "assistant", "content": content.text, "refusal": None}
    if thought:
        view["reasoning_content"] = thought
    if sources:
        view["annotations"] = sources
    return view


def citations(source: Facts) -> list[Json]:
    """One, or none where it is no page. Of which words it is the source is not known."""
    if not (url := source.get("url")):
        return []
    place = {"start_index": 0, "end_index": 0, "title": source.get("title") or "", "url": url}
    return [{"type": "url_citation", "url_citation": place}]


def finish_reason(end: RunCompleted) -> str:
    return end.finish_reason if end.finish_reason in FINISH_REASONS else "stop"


def usage_view(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
