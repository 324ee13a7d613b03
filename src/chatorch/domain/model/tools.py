"""Tools: what a model may call, what it called, and how that went."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from chatorch.domain.model.conversation import Usage
from chatorch.domain.model.identity import Scope

MAX_NAME_CHARS = 64
"""Providers take names of letters, digits, ``_`` and ``-``, and no longer ones (OpenAI, function calling)."""


class CallStatus(StrEnum):
    """How a call stands. It follows from the part that answers it, whose head says one of the last five, or from there
    being none.

    `not_executed`: nobody ran it. `unknown`: it may have run, and nobody can say how that went.
    """

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    DENIED = "denied"
    NOT_EXECUTED = "not_executed"
    UNKNOWN = "unknown"


MADE = frozenset({CallStatus.COMPLETED, CallStatus.FAILED, CallStatus.UNKNOWN})
"""How a call stands that was made, or may have been."""


class CarriedOutBy(StrEnum):
    """Who carries out a call of a tool that was offered. What a model calls unasked is nobody's."""

    SERVER = "server"
    CLIENT = "client"


ERRORS = frozenset({CallStatus.FAILED, CallStatus.DENIED, CallStatus.NOT_EXECUTED, CallStatus.UNKNOWN})
"""What a model is told as an error."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One that a model is offered. `parameters` is a JSON schema of an object; `name` as `MAX_NAME_CHARS` says.

    One that `needs_approval` is not called before a person has agreed. One that is `idempotent` may be called a second
    time for the same call, where nobody knows whether the first time got through. `scope`: who lacks it is not offered
    the tool. `strict` is OpenAI's: arguments are sure to fit.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    needs_approval: bool = False
    idempotent: bool = False
    scope: Scope | None = None
    by: CarriedOutBy = CarriedOutBy.SERVER
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model asks for. `arguments` is JSON text, or what the model takes for that."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """How a call went, and what the model is told of it: text, never to be believed."""

    status: CallStatus
    content: str

    def bounded(self, most: int) -> "ToolResult":
        """As it is, up to `most` code points. What is longer is not cut, for half of it may mean something else: the
        model is told that it was too much."""
        if len(self.content) <= most:
            return self
        return ToolResult(CallStatus.FAILED, f"The tool said more than {most} characters, which is too much.")


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call that was made: how it went, and how long that took, in milliseconds.

    Whoever goes on with a run knows no duration of the calls that its earlier attempts made.
    """

    name: str
    status: CallStatus
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run has taken so far: how often a model was asked, what that used (None: nothing yet), and the calls."""

    steps: int = 1
    usage: Usage | None = None
    tools: tuple[ToolUse, ...] = ()
