"""What the AI SDK's client makes of a UI message stream: its `processUIMessageStream`, as strict as that is."""

import json
from dataclasses import dataclass, field
from typing import Any

KNOWN_TO_6 = {
    *("start", "start-step", "finish-step", "finish", "abort", "error", "message-metadata"),
    *("text-start", "text-delta", "text-end", "reasoning-start", "reasoning-delta", "reasoning-end"),
    *("tool-input-start", "tool-input-delta", "tool-input-available", "tool-input-error"),
    *("tool-output-available", "tool-output-error", "source-url", "source-document", "file"),
    *("tool-output-denied", "tool-approval-request"),
}
KNOWN_TO_7 = KNOWN_TO_6 | {"reset-step", "tool-approval-response"}
FINISHES = {"stop", "length", "content-filter", "tool-calls", "error", "other"}
TEXTS = {
    "text-delta": ("id", "delta"),
    "reasoning-delta": ("id", "delta"),
    "tool-input-start": ("toolCallId", "toolName"),
    "tool-input-delta": ("toolCallId", "inputTextDelta"),
    "tool-input-available": ("toolCallId", "toolName"),
    "tool-input-error": ("toolCallId", "toolName", "errorText"),
    "tool-output-available": ("toolCallId",),
    "tool-output-error": ("toolCallId", "errorText"),
    "tool-output-denied": ("toolCallId",),
    "tool-approval-request": ("toolCallId", "approvalId"),
    "source-url": ("sourceId", "url"),
    "source-document": ("sourceId", "mediaType", "title"),
    "file": ("url", "mediaType"),
    "error": ("errorText",),
}


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """Of server-sent events, without the comments and the mark of the end."""
    frames = [frame for frame in stream.decode().split("\n\n") if frame and not frame.startswith(":")]
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames), frames
    return [json.loads(frame[6:]) for frame in frames if frame != "data: [DONE]"]


@dataclass
class UiMessage:
    """The message as it grows. `error` is what the client threw, behind which it hears nothing more; `to_do` are the
    calls that it was told to carry out, if they are its own."""

    version: int = 7
    id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    parts: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    end: dict[str, Any] | None = None
    to_do: list[str] = field(default_factory=list)
    _open: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def take(self, stream: bytes) -> "UiMessage":
        for chunk in chunks(stream):
            if self.error is None:
                self._take(chunk)
        return self

    def _take(self, chunk: dict[str, Any]) -> None:
        kind = chunk["type"]
        assert kind in (KNOWN_TO_7 if self.version >= 7 else KNOWN_TO_6) or kind.startswith("data-"), kind
        assert all(isinstance(chunk[name], str) for name in TEXTS.get(kind, ())), chunk
        self.metadata |= chunk.get("messageMetadata", {})
        if kind.startswith("tool-"):
            self._tool(kind, chunk)
        elif kind.startswith(("text-", "reasoning-")):
            self._block(kind, chunk)
        else:
            self._message(kind, chunk)

    def _message(self, kind: str, chunk: dict[str, Any]) -> None:
        match kind:
            case "start":
                self.id = chunk["messageId"]
            case "start-step":
                self.parts.append({"type": "step-start"})
            case "reset-step":
                begins = max(at + 1 for at, part in enumerate(self.parts) if part["type"] == "step-start")
                del self.parts[begins:]
                self._open = {}
            case "error":
                self.error = chunk["errorText"]
            case "finish" | "abort":
                assert chunk.get("finishReason", "stop") in FINISHES
                self.end = chunk
            case "finish-step":
                pass
            case _:
                same = [part for part in self.parts if kind.startswith("data-") and part["type"] == kind]
                for part in same:
                    if part["id"] == chunk["id"]:
                        part["data"] = chunk["data"]
                        return
                self.parts.append(dict(chunk))

    def _block(self, kind: str, chunk: dict[str, Any]) -> None:
        block, _, step = kind.rpartition("-")
        match step:
            case "start":
                named = {"id": chunk["id"]} if block == "reasoning" else {}
                part = {"type": block, **named, "text": "", "state": "streaming"}
                self._open[block, chunk["id"]] = part
                self.parts.append(part)
            case "delta":
                self._open[block, chunk["id"]]["text"] += chunk["delta"]
            case "end":
                self._open.pop((block, chunk["id"]))["state"] = "done"

    def _tool(self, kind: str, chunk: dict[str, Any]) -> None:
        found = [part for part in self.parts if part.get("toolCallId") == chunk.get("toolCallId")]
        if kind == "tool-input-start":
            assert not found, "two calls of one id become one"
            found = [{"type": f"tool-{chunk['toolName']}", "toolCallId": chunk["toolCallId"], "raw": ""}]
            if chunk.get("dynamic"):
                found[0] |= {"type": "dynamic-tool", "toolName": chunk["toolName"]}
            self.parts += found
        if kind.startswith("tool-approval-"):
            self._approval(kind, chunk)
            return
        part = found[0]
        part |= {name: chunk[name] for name in ("providerExecuted",) if name in chunk}
        if kind.startswith("tool-input-"):
            self._input(kind, chunk, part)
        else:
            assert "raw" not in part
            told = {name: chunk[name] for name in ("output", "errorText") if name in chunk}
            part |= {"state": kind.removeprefix("tool-"), **told}

    def _input(self, kind: str, chunk: dict[str, Any], part: dict[str, Any]) -> None:
        match kind:
            case "tool-input-start" | "tool-input-delta":
                part["state"] = "input-streaming"
                part["raw"] += chunk.get("inputTextDelta", "")
            case "tool-input-available":
                part.pop("raw", None)
                part |= {"state": "input-available", "input": chunk["input"]}
                self.to_do += [] if chunk["providerExecuted"] else [chunk["toolCallId"]]
            case "tool-input-error":
                assert chunk["input"] == (part.pop("raw") or chunk["input"])
                part |= {"state": "output-error", "input": chunk["input"], "errorText": chunk["errorText"]}

    def _approval(self, kind: str, chunk: dict[str, Any]) -> None:
        if kind == "tool-approval-request":
            [part] = [part for part in self.parts if part.get("toolCallId") == chunk["toolCallId"]]
            assert part["state"] == "input-available"
            part |= {"state": "approval-requested", "approval": {"id": chunk["approvalId"]}}
            return
        [part] = [part for part in self.parts if part.get("approval", {}).get("id") == chunk["approvalId"]]
        said = {name: chunk[name] for name in ("approved", "reason") if name in chunk}
        part |= {"state": "approval-responded", "approval": {**part["approval"], **said}}
        part["providerExecuted"] = chunk["providerExecuted"]
