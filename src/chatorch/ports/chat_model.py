"""The language model."""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Protocol

from chatorch.domain.model.content import Content
from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import RunId, ThreadId, Usage
from chatorch.domain.model.generation import AS_USUAL, Generation
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.parts import NOTHING, Facts, Part, PartKind
from chatorch.domain.model.tools import Tally, Tool


@dataclass(frozen=True, slots=True)
class Turn:
    """On whose behalf, and in which run. `open_calls` were asked for in the turn before this run, and are to be carried
    out first; `call_ids` are those of all that were. `said` is what earlier attempts left of the run's own content,
    where `begun`: calls that nothing answers there may have been made."""

    principal: Principal
    thread_id: ThreadId
    run_id: RunId
    open_calls: tuple[Part, ...] = ()
    said: Content = field(default_factory=Content)
    begun: bool = False
    call_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is asked. `user` is an opaque label for the provider's abuse detection, never a name.

    What `generation` asks and the model cannot do is an error of its own (`UpstreamRejected`), never left out; `tools`
    are those that it may call, instead of those that `generation` names. It was first asked `begun_s` seconds ago,
    where by a worker that is gone: what it may take in all counts from there. `turn`: where it is asked, for who acts
    on that.
    """

    model: str
    messages: tuple[PromptMessage, ...]
    user: str
    generation: Generation = AS_USUAL
    begun_s: float = 0.0
    tools: tuple[Tool, ...] = ()
    turn: Turn | None = None


@dataclass(frozen=True, slots=True)
class PartStart:
    """A part begins; what is yielded next is its body. See `chatorch.domain.model.parts.Part`."""

    kind: PartKind
    head: Facts = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part that is open is whole."""

    result: Facts = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Keep:
    """All that was said so far stands, whatever becomes of this worker: it is stored before the next piece is asked
    for. No part is open."""

    tally: Tally


@dataclass(frozen=True, slots=True)
class Finish:
    """How the model ended. `usage` is of all steps, None where the provider counted nothing; `tally` has the steps,
    where there was more than one."""

    reason: str
    usage: Usage | None
    tally: Tally | None = None


Piece = str | PartStart | PartEnd | Keep | Finish


class ChatModel(Protocol):
    @abstractmethod
    def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        """Yields pieces of text, never empty and free of NUL and lone surrogates, then exactly one `Finish`, last.

        Text that arrived together comes as one piece. It belongs to the part that is open, at first the message's own
        text. A `PartStart` begins another part, a `PartEnd` ends it: one at a time, text never between two, and none
        left open by the `Finish`. What a head or a result says is as clean as text is, and a head has what its kind has
        (`chatorch.domain.model.facts`): what has not fails the run as `UpstreamInvalid`.

        Raises an `UpstreamError` for whatever goes wrong, before or after the first piece; an end that the provider did
        not announce is `UpstreamInvalid`. Keeps its own deadlines (`UpstreamTimeout`). Closing the iterator, or
        cancelling who waits for it, closes the connection.
        """
        ...

    @abstractmethod
    async def aclose(self) -> None:
        """Closes idle connections. Once; nothing is streamed afterwards."""
        ...
