"""An answer, whole: https://platform.openai.com/docs/api-reference/chat/object.

Calls are told where they are of tools of the client's own: to these clients every call is theirs to carry out. What is
carried out here, and what the model called unasked, `/api/runs/{run_id}` has.
"""

from chatorch.domain.model.calls import ASKS
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import Usage
from chatorch.domain.model.parts import Facts, Part, PartKind
from chatorch.domain.model.run import Run, RunCompleted
from chatorch.entrypoints.common.views import Json
from chatorch.entrypoints.openai.chat_completions.told import is_clients

COMPLETION = "chat.completion"
FINISH_REASONS = frozenset({"stop", "length", "content_filter"})
"""Those that mean something to every client; a provider may have others."""
NO_ARGUMENTS = "{}"
"""What a client can read, where a model gives none to a call."""


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
    message = message_view(content)
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": finish_reason(end, asks="tool_calls" in message),
    }
    return {**head(run, COMPLETION), "choices": [choice], "usage": usage_view(end.usage)}


def message_view(content: Content) -> Json:
    """`reasoning_content` as DeepSeek, vLLM and others have it."""
    by_kind: dict[PartKind, list[Part]] = {}
    for part in content.parts:
        by_kind.setdefault(part.kind, []).append(part)
    thought = "".join(part.body for part in by_kind.get(PartKind.REASONING, ()))
    sources = [found for part in by_kind.get(PartKind.SOURCE, ()) for found in citations(part.head)]
    calls = [call_view(part) for part in by_kind.get(PartKind.TOOL_CALL, ()) if is_clients(part)]
    view: Json = {"role": "assistant", "content": content.text, "refusal": None}
    if calls:
        view |= {"content": content.text or None, "tool_calls": calls}
    if thought:
        view["reasoning_content"] = thought
    if sources:
        view["annotations"] = sources
    return view


def call_view(call: Part) -> Json:
    arguments = call.body if call.body.strip() or not call.closed else call.body + NO_ARGUMENTS
    return {"id": call.head["id"], "type": "function", "function": {"name": call.head["name"], "arguments": arguments}}


def citations(source: Facts) -> list[Json]:
    """One, or none where it is no page. Of which words it is the source is not known."""
    if not (url := source.get("url")):
        return []
    place = {"start_index": 0, "end_index": 0, "title": source.get("title") or "", "url": url}
    return [{"type": "url_citation", "url_citation": place}]


def finish_reason(end: RunCompleted, *, asks: bool) -> str:
    """`asks`: whether the client was told of calls."""
    if asks and end.finish_reason == ASKS:
        return ASKS
    return end.finish_reason if end.finish_reason in FINISH_REASONS else "stop"


def usage_view(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
