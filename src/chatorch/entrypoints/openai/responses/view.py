"""A response as its clients see it, whole: in answers, and at both ends of a stream."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from chatorch.domain.model.conversation import Usage
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.run import (
    Run,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunInterrupted,
    RunStatus,
    TerminalEvent,
    terminal_event,
)
from chatorch.domain.model.upstream_errors import UpstreamRateLimited, UpstreamRejected
from chatorch.entrypoints.openai.responses.call_items import AskedCalls
from chatorch.entrypoints.openai.responses.ids import conversation_id, response_id
from chatorch.entrypoints.openai.responses.items import COMPLETED, IN_PROGRESS, INCOMPLETE, Json
from chatorch.entrypoints.openai.responses.output import NOTHING_ASKED, output_of

INTERRUPTED = "run_interrupted"
INTERRUPTED_DETAIL = "The process that carried out the run is gone."

_CUT_OFF = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ERROR_CODES = {UpstreamRateLimited.code: "rate_limit_exceeded", UpstreamRejected.code: "invalid_prompt"}
_ALWAYS: Json = {
    "object": "response",
    "max_tool_calls": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": "default",
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "auto",
    "user": None,
}
_AT_FIRST: Json = {"completed_at": None, "error": None, "incomplete_details": None, "usage": None, "output": []}

_encode = msgspec.json.Encoder().encode


def ended_as(terminal: TerminalEvent) -> tuple[str, Json]:
    """The status of a response, and what is told of its end besides."""
    match terminal:
        case RunCompleted():
            usage = {"usage": usage_view(terminal.usage)}
            if reason := _CUT_OFF.get(terminal.finish_reason):
                return INCOMPLETE, {"incomplete_details": {"reason": reason}, **usage}
            return COMPLETED, usage
        case RunFailed():
            return "failed", {"error": _error(terminal.code, terminal.detail)}
        case RunCancelled():
            return "cancelled", {}
        case RunInterrupted():
            return "failed", {"error": _error(INTERRUPTED, INTERRUPTED_DETAIL)}


def item_status(status: str) -> str:
    """Of the item that was not whole when a response ended."""
    return status if status in {COMPLETED, IN_PROGRESS} else INCOMPLETE


def usage_view(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


class ResponseView:
    """What is the same about a response from its beginning to its end, and how it looks on the way.

    `note` is what was kept of its request (`route._note`), `metadata` the client's own. `asked` are calls that earlier
    responses of its turn asked for.
    """

    def __init__(
        self, run: Run, note: Mapping[str, Any], metadata: Mapping[str, Any], asked: AskedCalls = NOTHING_ASKED
    ) -> None:
        self.run_id = run.id
        self.asked = asked
        self.id = response_id(run.id)
        stored = note.get("store", True)
        self._known: Json = {
            **_ALWAYS,
            **_AT_FIRST,
            "id": self.id,
            "created_at": int(run.created_at.timestamp()),
            "model": run.model,
            "metadata": dict(metadata),
            "background": note.get("background", False),
            "store": stored,
            "conversation": {"id": conversation_id(run.thread_id)} if stored else None,
            "previous_response_id": note.get("previous_response_id"),
            **_asked(run.generation),
        }

    def at(self, status: str, output: Sequence[Json | msgspec.Raw] = (), **more: object) -> Json:
        return {**self._known, "status": status, "output": list(output), **more}

    def now(self, run: Run) -> Json:
        """As it stands in the store."""
        if (terminal := terminal_event(run)) is not None:
            status, _ = ended_as(terminal)
            output = output_of(run.id, run.content, item_status(status), self.asked)
            finished_at = int(run.finished_at.timestamp()) if run.finished_at else None
            return self.ended(terminal, output) | {"completed_at": finished_at}
        status = "queued" if run.status is RunStatus.QUEUED else IN_PROGRESS
        return self.at(status, output_of(run.id, run.content, IN_PROGRESS, self.asked))

    def begun(self) -> Json:
        return self.at(IN_PROGRESS)

    def ended(self, terminal: TerminalEvent, output: Sequence[Json | msgspec.Raw]) -> Json:
        """As the terminal event tells it, which is not told when it was."""
        status, more = ended_as(terminal)
        return self.at(status, output, **more)


def _asked(generation: Generation) -> Json:
    return {
        "instructions": generation.instructions,
        "max_output_tokens": generation.max_output_tokens,
        "reasoning": {"effort": generation.reasoning_effort, "summary": None},
        "temperature": generation.temperature,
        "text": {"format": text_format(generation)},
        "tools": [_tool_view(tool) for tool in generation.tools or ()],
        "tool_choice": _choice_view(generation.tool_choice),
        "parallel_tool_calls": generation.parallel_tool_calls is not False,
    }


def _tool_view(tool: Mapping[str, Any]) -> Json:
    """Flat, where it is elsewhere inside of ``function``."""
    return {"type": "function", "description": None, "parameters": None, "strict": None, **tool}


def _choice_view(choice: str | Mapping[str, Any] | None) -> str | Json:
    if isinstance(choice, Mapping):
        return {"type": choice["type"], **choice["function"]}
    return choice or "auto"


def text_format(generation: Generation) -> Json:
    """As Responses have it: what is inside of ``json_schema`` elsewhere lies beside the type here."""
    given = generation.response_format
    if given is None:
        return {"type": "text"}
    return {"type": given["type"], **given.get("json_schema", {})}


def _error(code: str, detail: str) -> Json:
    """`code` is one of those that OpenAI has; ours is the type."""
    return {"code": _ERROR_CODES.get(code, "server_error"), "message": detail, "type": code, "param": None}
