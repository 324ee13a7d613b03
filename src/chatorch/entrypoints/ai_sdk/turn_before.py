"""What earlier runs of a turn said, told to whoever hears the next one: the client has one message for all of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chatorch.domain.model.content import PIECE_CHARS
from chatorch.entrypoints.ai_sdk.said import NOT_WHOLE, Calls

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Before:
    """`message_id` is the client's for the turn, `parts` are those of its message so far, `calls` all that they have,
    and `parts_told` how many of ours that were. `whole`: its client begins the message anew.
    """

    message_id: str = ""
    parts: tuple[Json, ...] = ()
    calls: Calls = ()
    parts_told: int = 0
    whole: bool = False

    def chunks(self, version: int) -> Iterator[Json]:
        """Behind `start`. Who has the message is told what was not allowed: it knows all else."""
        if not self.whole:
            for part in self.parts:
                if part.get("state") == "output-denied":
                    yield {"type": "tool-output-denied", "toolCallId": part["toolCallId"]}
            return
        for number, part in enumerate(self.parts):
            yield from _retold(part, number, version)
        if self.parts:
            yield {"type": "finish-step"}


NOTHING_BEFORE = Before()


def _retold(part: Json, number: int, version: int) -> Iterator[Json]:
    match part["type"]:
        case "step-start":
            if number:
                yield {"type": "finish-step"}
            yield {"type": "start-step"}
        case "text" | "reasoning" as kind:
            told_as, text = part.get("id", f"before-{number}"), part["text"]
            yield {"type": f"{kind}-start", "id": told_as}
            for at in range(0, len(text), PIECE_CHARS):
                yield {"type": f"{kind}-delta", "id": told_as, "delta": text[at : at + PIECE_CHARS]}
            yield {"type": f"{kind}-end", "id": told_as}
        case _ if "toolCallId" in part:
            yield from _call(part, version)
        case _:
            yield part


def _call(part: Json, version: int) -> Iterator[Json]:
    """Of a call that has been answered. It is told as its provider's until then, so that no client answers it again."""
    executed = part["providerExecuted"]
    dynamic = part["type"] == "dynamic-tool"
    name = part["toolName"] if dynamic else part["type"].removeprefix("tool-")
    known = {"toolCallId": part["toolCallId"], "toolName": name, **({"dynamic": True} if dynamic else {})}
    yield {"type": "tool-input-start", **known, "providerExecuted": executed}
    if part.get("errorText") == NOT_WHOLE:
        told = {"input": part["input"], "errorText": NOT_WHOLE, "providerExecuted": executed}
        yield {"type": "tool-input-error", **known, **told}
        return
    yield {"type": "tool-input-available", **known, "input": part["input"], "providerExecuted": True}
    if approval := part.get("approval"):
        yield from _decided(part, approval, version)
    whose = {"toolCallId": part["toolCallId"], "providerExecuted": executed}
    match part["state"]:
        case "output-available":
            yield {"type": "tool-output-available", **whose, "output": part["output"]}
        case "output-error":
            yield {"type": "tool-output-error", **whose, "errorText": part["errorText"]}
        case "output-denied":
            yield {"type": "tool-output-denied", "toolCallId": part["toolCallId"]}


def _decided(part: Json, approval: Json, version: int) -> Iterator[Json]:
    """`ai` 6 cannot be told of a decision: to it the call that was allowed is one that is being made."""
    if version >= 7:
        yield {"type": "tool-approval-request", "approvalId": approval["id"], "toolCallId": part["toolCallId"]}
        said = {name: approval[name] for name in approval if name != "id"}
        yield {"type": "tool-approval-response", "approvalId": approval["id"], **said, "providerExecuted": False}
    elif not approval["approved"]:
        yield {"type": "tool-approval-request", "approvalId": approval["id"], "toolCallId": part["toolCallId"]}
