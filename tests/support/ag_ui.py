"""AG-UI's official client in small: its verifier of order and its fold of events to messages.

As `@ag-ui/client` 1.0.0 has them (`verify/verify.ts`, `apply/default.ts`), so far as our events go. `tests/clients` has
the client itself.
"""

import json
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

OPENS = {
    "TEXT_MESSAGE_START": ("text", "messageId"),
    "REASONING_START": ("span", "messageId"),
    "REASONING_MESSAGE_START": ("thought", "messageId"),
    "TOOL_CALL_START": ("call", "toolCallId"),
}
GOES_ON = {
    "TEXT_MESSAGE_CONTENT": ("text", "messageId"),
    "REASONING_MESSAGE_CONTENT": ("thought", "messageId"),
    "TOOL_CALL_ARGS": ("call", "toolCallId"),
}
CLOSES = {
    "TEXT_MESSAGE_END": ("text", "messageId"),
    "REASONING_END": ("span", "messageId"),
    "REASONING_MESSAGE_END": ("thought", "messageId"),
    "TOOL_CALL_END": ("call", "toolCallId"),
}


def events_in(stream: bytes) -> list[Json]:
    """What the client's parser takes of a stream: frames without ``data:`` say nothing."""
    frames = stream.decode().split("\n\n")
    assert frames.pop() == "", "a frame is cut off"
    return [json.loads(frame.removeprefix("data: ")) for frame in frames if frame.startswith("data:")]


class Client:
    """What a page holds: its messages, and what it was told of how the run ended."""

    def __init__(self, messages: Iterable[Json] = ()) -> None:
        self.messages: list[Json] = list(messages)
        self.told_beside: dict[str, Json] = {}
        self.started: Json | None = None
        self.ended: Json | None = None
        self.pending: list[str] = []
        self.interrupts: list[Json] = []
        self.open: set[tuple[str, str]] = set()

    def take(self, stream: bytes) -> "Client":
        for event in events_in(stream):
            self._verify(event)
            self._apply(event)
        return self

    def _verify(self, event: Json) -> None:
        kind = event["type"]
        assert self.ended is None or kind == "RUN_STARTED", f"{kind} after the end"
        assert self.started is not None or kind in {"RUN_STARTED", "RUN_ERROR"}, f"{kind} before the start"
        if kind in OPENS:
            entity, name = OPENS[kind]
            assert (entity, event[name]) not in self.open, f"{kind} of what is open: {event[name]}"
            self.open.add((entity, event[name]))
        elif kind in GOES_ON or kind in CLOSES:
            entity, name = {**GOES_ON, **CLOSES}[kind]
            assert (entity, event[name]) in self.open, f"{kind} of what is not open: {event[name]}"
            if kind in CLOSES:
                self.open.discard((entity, event[name]))
        elif kind == "RUN_FINISHED":
            assert not self.open, f"{kind} while {self.open} are open"

    def _apply(self, event: Json) -> None:
        match event["type"]:
            case "RUN_STARTED":
                assert self.started is None or self.ended is not None
                self.started, self.ended, self.pending, self.interrupts = event, None, [], []
            case "TEXT_MESSAGE_START":
                self._made(event["messageId"], "assistant", content="")
            case "REASONING_MESSAGE_START":
                self._made(event["messageId"], "reasoning", content="")
            case "TEXT_MESSAGE_CONTENT" | "REASONING_MESSAGE_CONTENT":
                message = self._made(event["messageId"], "?")
                message["content"] = message.get("content", "") + event["delta"]
            case "TOOL_CALL_START" | "TOOL_CALL_RESULT":
                self._call(event) if event["type"].endswith("START") else self._result(event)
            case "TOOL_CALL_ARGS":
                self._call_of(event["toolCallId"])["function"]["arguments"] += event["delta"]
            case "MESSAGES_SNAPSHOT":
                self._replace(event["messages"])
            case "CUSTOM":
                self.told_beside[event["value"]["id"]] = event
            case "RUN_FINISHED" | "RUN_ERROR":
                self._end(event, event.get("outcome") or {})

    def _end(self, event: Json, outcome: Json) -> None:
        self.ended = event
        self.interrupts = outcome.get("interrupts", [])
        self.pending = [] if self.interrupts else outcome.get("pendingToolCallIds") or self.pending

    def _made(self, message_id: str, role: str, **members: Any) -> Json:
        for message in self.messages:
            if message["id"] == message_id:
                return message
        self.messages.append({"id": message_id, "role": role, **members})
        return self.messages[-1]

    def _call(self, event: Json) -> None:
        self.pending.append(event["toolCallId"])
        if any(call["id"] == event["toolCallId"] for call in self._calls()):
            return
        function = {"name": event["toolCallName"], "arguments": ""}
        call = {"id": event["toolCallId"], "type": "function", "function": function}
        call |= {"metadata": event["metadata"]} if "metadata" in event else {}
        self._made(event["parentMessageId"], "assistant").setdefault("toolCalls", []).append(call)

    def _calls(self) -> list[Json]:
        return [call for message in self.messages for call in message.get("toolCalls", ())]

    def _call_of(self, call_id: str) -> Json:
        return next(call for call in self._calls() if call["id"] == call_id)

    def _result(self, event: Json) -> None:
        call_id = event["toolCallId"]
        self.pending = [each for each in self.pending if each != call_id]
        members = {name: value for name, value in event.items() if name not in {"type", "messageId"}}
        at = next(
            (n for n, m in enumerate(self.messages) if call_id in [c["id"] for c in m.get("toolCalls", ())]), None
        )
        at = len(self.messages) if at is None else at + 1
        while at < len(self.messages) and self.messages[at]["role"] == "tool":
            at += 1
        self.messages.insert(at, {"id": event["messageId"], **members})

    def _replace(self, told: list[Json]) -> None:
        by_id = {message["id"]: message for message in told}
        assert len(by_id) == len(told), "two messages have one id"
        keep_thoughts = not any(message["role"] == "reasoning" for message in told)
        kept = [m for m in self.messages if m["id"] in by_id or (m["role"] == "reasoning" and keep_thoughts)]
        self.messages = [by_id.get(message["id"], message) for message in kept]
        known = {message["id"] for message in self.messages}
        self.messages += [message for message in told if message["id"] not in known]
