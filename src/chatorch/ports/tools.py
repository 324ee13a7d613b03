"""What a model may call: functions of the operator's, wherever they run."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chatorch.domain.model.conversation import RunId, ThreadId
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.tools import Tool


@dataclass(frozen=True, slots=True)
class ToolContext:
    """On whose behalf a tool is called, and in which run.

    `idempotency_key` is the call's own, and the same where the same call is made again.
    """

    principal: Principal
    thread_id: ThreadId
    run_id: RunId
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class ToolProgress:
    """What a tool says of itself before it is done, for people and not for the model: any value that JSON has."""

    data: Any


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool said at last: text for the model. `is_error`: the tool itself calls it one."""

    content: str
    is_error: bool = False


class ToolError(Exception):
    """A call came to nothing. The text is safe to be shown to the model, and so to the user; a cause is for the log."""


class ToolArgumentsInvalid(ToolError):
    """The arguments do not fit the tool's parameters. The text says which and why, so that the model can mend them."""


class Tools(Protocol):
    """Some of the operator's tools, those of one source."""

    @abstractmethod
    def offered(self) -> Sequence[Tool]:
        """Those that can be called now, by names that are unique here. Asked for each run: it costs nothing, and waits
        for nobody."""
        ...

    def may_have(self, name: str) -> bool:  # noqa: ARG002
        """Whether a tool of this name, which is not offered now, may be one of these all the same: its server has not
        answered yet. Asked for calls that somebody has agreed to."""
        return False

    @abstractmethod
    async def settled(self) -> None:
        """Returns when it is known what there is: at once, but for a few seconds at most after the process began."""
        ...

    @abstractmethod
    def call(
        self, name: str, arguments: Mapping[str, Any], context: ToolContext
    ) -> AsyncGenerator[ToolProgress | ToolOutput]:
        """Yields any number of `ToolProgress`, then exactly one `ToolOutput`, last.

        Raises `ToolError` for whatever goes wrong, a name that is not `offered` included. An argument is what JSON has,
        and nothing has been checked of it but that all are in one object. Closing the iterator, or cancelling who waits
        for it, gives the call up: what it has done by then is done. How long a call takes is bounded by whoever makes
        it, and so is how much it says.
        """
        ...

    @abstractmethod
    async def aclose(self) -> None:
        """Leaves all servers and threads. Once; nothing is called afterwards."""
        ...
