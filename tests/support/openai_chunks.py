"""An answer in chunks of chat completions, as a client adds them up."""

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from openai.types.chat import ChatCompletionChunk

from chatorch.domain.model.content import START, Content, PartDelta
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId, Usage, UsageSource
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.run import Run, RunCompleted, RunEvent, RunStarted, RunStatus
from chatorch.entrypoints.openai.chat_completions.chunks import ChunkEncoder
from chatorch.entrypoints.openai.chat_completions.completion import completion_view

USAGE = Usage(9, 3, 12, UsageSource.PROVIDER, cached_tokens=4, reasoning_tokens=2)
RUN = Run(
    RunId("run_01x"), ThreadId("thr_1"), UserId("usr_1"), MessageId("msg_0"), MessageId("msg_1"), RunStatus.STREAMING,
    '5%b"|"é', datetime(2026, 1, 31, 9, 30, 0, 5, tzinfo=UTC),
)  # fmt: skip
STARTED = RunStarted(START, RUN.thread_id, RUN.message_id, RUN.model)


@dataclass
class Shown:
    """What a client has once it has read all. `run` is whose answer it must be, where that is known."""

    run: Run | None = field(default_factory=lambda: RUN)
    chunks: list[dict[str, Any]] = field(default_factory=list)
    content: str = ""
    reasoning: str = ""
    annotations: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reasons: list[str] = field(default_factory=list)
    error: dict[str, Any] | None = None
    done: bool = False

    def read(self, data: bytes) -> "Shown":
        for line in data.decode().split("\n\n")[:-1]:
            payload = line.removeprefix("data: ")
            assert not self.done
            if payload == "[DONE]":
                self.done = True
            elif "error" in (body := json.loads(payload)):
                assert self.error is None
                self.error = body["error"]
            else:
                self._add(body)
        return self

    def _add(self, chunk: dict[str, Any]) -> None:
        assert self.error is None
        assert not self.finish_reasons or not chunk["choices"]
        ChatCompletionChunk.model_validate(chunk, strict=True)
        if self.run is not None:
            assert (chunk["id"], chunk["model"], chunk["created"]) == ("chatcmpl-01x", self.run.model, 1769851800)
        assert chunk["object"] == "chat.completion.chunk"
        self.chunks.append(chunk)
        for choice in chunk["choices"]:
            delta = choice["delta"]
            self.content += delta.get("content") or ""
            self.reasoning += delta.get("reasoning_content") or ""
            self.annotations += delta.get("annotations", [])
            for call in delta.get("tool_calls", []):
                self._add_call(**call)
            if choice["finish_reason"]:
                self.finish_reasons.append(choice["finish_reason"])

    def _add_call(self, index: int, function: dict[str, str], **begins: str) -> None:
        if begins:
            assert (index, begins["type"], function["arguments"]) == (len(self.calls), "function", "")
            self.calls.append({**begins, "function": {**function}})
        else:
            assert index == len(self.calls) - 1
            self.calls[index]["function"]["arguments"] += function["arguments"]

    @property
    def message(self) -> tuple[object, ...]:
        return self.content, self.reasoning, self.annotations, self.calls


def wanted(content: Content) -> tuple[object, ...]:
    """What the same content is, whole."""
    message = completion_view(RUN, content, completed(content))["choices"][0]["message"]
    others = message.get("reasoning_content", ""), message.get("annotations", []), message.get("tool_calls", [])
    return message["content"] or "", *others


def completed(content: Content, reason: str = "stop", base: int = 0) -> RunCompleted:
    return RunCompleted(base + content.tip + 1, RUN.message_id, reason, USAGE)


def events(
    content: Content, after: int = START, base: int = 0, chance: random.Random | None = None
) -> Iterator[RunEvent]:
    """Of a content from a position on, its texts cut anywhere."""
    for event in content.since(after):
        if isinstance(event, PartDelta) and chance is not None:
            begun, text = event.seq - len(event.text), event.text
            while text:
                piece, text = text[: (cut := chance.choice([1, 2, 5, 100]))], text[cut:]
                begun += len(piece)
                yield PartDelta(base + begun, piece, event.index, event.kind)
        else:
            yield replace(event, seq=base + event.seq)


def shown(told: Iterable[RunEvent], **options: bool) -> Shown:
    encoder = ChunkEncoder(RUN, **options)
    return Shown().read(b"".join([*map(encoder.encode, told), encoder.end()]))
