"""How each server is asked for the turn, and where in its stream the answer is."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.agents.turn import MODELS, QUESTION
from bench.load import Target

NEW = "00000000-0000-4000-8000-000000000000"
"""In a path or a body: another UUID with each turn."""


@dataclass(frozen=True)
class Dialect:
    """`path` may have the name of a load in it, `body` is of one; `text` is what an event adds to the answer."""

    path: str
    body: Callable[[str], dict]
    text: Callable[[dict | list], str]


@dataclass(frozen=True)
class Peer:
    """`lacks`: what of chatorch's it does not do in this turn, and so does not pay for."""

    target: Target
    dialect: Dialect
    lacks: str = ""

    @property
    def name(self) -> str:
        return self.target.name


def _chunk_text(chunk: dict) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])


def _message_text(event: dict | list) -> str:
    """Of LangGraph's `messages`: a message and what is known of it. Results of tools come in the same way."""
    if isinstance(event, dict) or event[0]["type"] != "AIMessageChunk":
        return ""
    return event[0]["content"]


def _ag_ui(load: str) -> dict:
    said = {"id": NEW, "role": "user", "content": QUESTION}
    empty = {"tools": [], "context": [], "state": {}}
    return {"threadId": NEW, "runId": NEW, "messages": [said], "forwardedProps": {"model": MODELS[load]}, **empty}


def _ai_sdk(load: str) -> dict:
    said = {"id": NEW, "role": "user", "parts": [{"type": "text", "text": QUESTION}]}
    return {"id": NEW, "messages": [said], "trigger": "submit-message", "model": MODELS[load]}


def _langgraph(load: str) -> dict:
    """The mode that has the tokens, and none of those that repeat the whole state with each step."""
    said = {"messages": [{"role": "user", "content": QUESTION}]}
    return {"assistant_id": load, "input": said, "stream_mode": ["messages-tuple"], "if_not_exists": "create"}


def _ours(load: str) -> dict:
    return {"model": MODELS[load], "messages": [{"role": "user", "content": QUESTION}], "stream": True}


def _delta(kind: str, member: str) -> Callable[[dict], str]:
    return lambda event: event[member] if event["type"] == kind else ""


FLOOR = Dialect("/{load}", lambda _: {}, _chunk_text)
AG_UI = Dialect("/ag-ui/{load}", _ag_ui, _delta("TEXT_MESSAGE_CONTENT", "delta"))
AI_SDK = Dialect("/ai-sdk/{load}", _ai_sdk, _delta("text-delta", "delta"))
LANGGRAPH = Dialect(f"/threads/{NEW}/runs/stream", _langgraph, _message_text)
OURS = {
    "chatorch": Dialect("/api/chat/protected", _ours, _delta("message.delta", "text")),
    "chatorch, AG-UI": replace(AG_UI, path="/api/ag-ui"),
    "chatorch, AI SDK": replace(AI_SDK, path="/api/ai-sdk"),
}
"""Its own events first."""
