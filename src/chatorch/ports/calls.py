"""Turns that wait for somebody outside, and what is said to their calls."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.call_answers import Answer, metadata_of
from chatorch.domain.model.conversation import Message, MessageId, NewMessage, Role, RunId, ThreadId
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import Run
from chatorch.ports.runs import NewRun, OpenedRun


@dataclass(frozen=True, slots=True)
class AnsweredCalls:
    """Answers to calls of a thread's, each call once; `message_ids` are as many, for those that are kept.

    `messages` are what the user says behind them, with their ids, oldest first.
    """

    thread_id: ThreadId
    answers: tuple[Answer, ...]
    message_ids: tuple[MessageId, ...]
    messages: tuple[tuple[MessageId, NewMessage], ...] = ()

    def kept(self, results: Iterable[Part]) -> tuple[tuple[MessageId, NewMessage], ...]:
        """What is written where these are kept of the answers: a message of the role `tool` for each, then the
        user's."""
        told = (
            NewMessage(Role.TOOL, "", metadata=metadata_of(self.answers, each), parts=(Part(PartKind.TEXT), each))
            for each in results
        )
        return (*zip(self.message_ids, told, strict=False), *self.messages)


class CallStore(Protocol):
    """Every method is one transaction, as those of `chatorch.ports.runs.RunStore`, and raises what those raise."""

    @abstractmethod
    async def asking_run(self, owner_id: UserId, thread_id: ThreadId) -> Run:
        """The run whose answer is the thread's newest. Raises `NotFound`, also where there is none."""
        ...

    @abstractmethod
    async def answer_calls(self, new: NewRun, answered: AnsweredCalls, cap: LiveRunCap | None = None) -> OpenedRun:
        """Opens the next run of the turn that the thread ends with, for the same message of the user's; where others
        follow, the first run of a new turn, for the last of them.

        What the answers say is kept in messages of the role `tool`, one a result. The same answers again give back the
        run that they opened (`joined`); not where messages follow them, which nothing but a key can tell from new ones.
        Raises, in this order: `NotFound` for the thread, `IdempotencyKeyReused`, what
        `chatorch.domain.model.call_answers.results_of` does, `ThreadBusy`, and what `cap` does. Of calls that are not
        in this turn: `NotFound`, or `ThreadBusy` as long as a run may still ask for them, `RunSuperseded` where they
        have left the history, and `ToolCallsAnswered` where another message of the user's came instead.
        """
        ...

    @abstractmethod
    async def call_ids(self, thread_id: ThreadId, besides: RunId) -> frozenset[str]:
        """Of all calls that a thread's messages ever asked for, those that left the history too, but for one run's."""
        ...

    @abstractmethod
    async def said_since(self, owner_id: UserId, message_id: MessageId) -> Sequence[Message]:
        """What follows a message in the history, oldest first, up to and with the next one of the user's; of very much
        the oldest. Nothing where there is no such message."""
        ...
