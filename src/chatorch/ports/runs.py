"""Where runs are kept, as their clients ask for them."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.conversation import Message, MessageId, NewMessage, RunId, ThreadId
from chatorch.domain.model.generation import AS_USUAL, Generation
from chatorch.domain.model.identity import CHAT_ALONE, Scope, UserId
from chatorch.domain.model.run import Run

KEY_LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key, and a digest of what it asked for; together they tell a repetition from a mistake."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class NewRun:
    """What every opening of a run needs. `message_id` is for the empty assistant message.

    `history_chars` bounds the history that is handed back, by what its messages say aloud
    (`chatorch.domain.model.context.said_aloud`).
    """

    run_id: RunId
    message_id: MessageId
    owner_id: UserId
    model: str
    now: datetime
    history_chars: int
    idempotency: IdempotencyKey | None = None
    guest_label: str | None = None
    generation: Generation = AS_USUAL
    background: bool = False
    scopes: frozenset[Scope] = CHAT_ALONE

    def going_on(self) -> "NewRun":
        """As the next run of a turn."""
        return replace(self, generation=self.generation.going_on())


class ClientRefTaken(Exception):  # no fault: somebody was quicker
    """The owner has a thread of this name by now."""


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """Messages for a thread, with their ids, oldest first, the user's last; `title` where the thread is new.

    `client_ref` and `stored` are the new thread's: see `chatorch.domain.model.conversation.Thread`. `instead_of` is a
    message of the user's in a thread that is there: it and all that came after it become superseded.
    """

    thread_id: ThreadId
    title: str | None
    messages: tuple[tuple[MessageId, NewMessage], ...]
    client_ref: str | None = None
    stored: bool = True
    instead_of: MessageId | None = None


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """`joined`: an earlier request with the same idempotency key opened it, and nothing was written now.

    `history` is empty then; else the thread's newest messages that are not superseded, oldest first, up to and with
    the user's message: at least that one, and at least all that may go out (`chatorch.domain.model.context`) and fit
    into `history_chars`. Where older ones are left out, the system messages that the thread begins with are not.

    A run that goes on with a turn has a history up to what was said for that message since. `kept`: the last of it is
    an answer that did not end well, whose content stands up to there (`chatorch.domain.model.calls.kept_content`).
    """

    run: Run
    history: tuple[Message, ...]
    joined: bool
    kept: int | None = None


class RunStore(Protocol):
    """Every method is one transaction and raises `StoreUnavailable` when the store does not answer.

    What belongs to another owner, or to a deleted thread, is `NotFound`.
    """

    @abstractmethod
    async def open_run(self, new: NewRun, turn: OpenTurn, cap: LiveRunCap | None = None) -> OpenedRun:
        """Writes thread (where new), messages, run (queued, epoch 1) and an empty, streaming assistant message.

        All or nothing; also moves the thread's `updated_at`. Raises, in this order: `NotFound` for an unknown
        thread, `IdempotencyKeyReused`, `ClientRefTaken` where a new thread's name is another's already, `NotFound` and
        `RunSuperseded` for `instead_of`, `ThreadBusy`, and what `cap` raises for the owner's live runs: exactly,
        however many open one at once. A key older than 24 h counts as never used.
        """
        ...

    @abstractmethod
    async def reopen_run(self, new: NewRun, retry_of: RunId, cap: LiveRunCap | None = None) -> OpenedRun:
        """Opens a run for the same user message as `retry_of`; all messages and items after that one become superseded.

        Or those after an answer that stands (`chatorch.domain.model.going_on.to_go_on_from`): behind that it is the
        next run of the turn (`NewRun.going_on`). The user message becomes complete, where it was refused. Raises like
        `open_run`, and `RunSuperseded` where the user message itself has left the history.
        """
        ...

    @abstractmethod
    async def answer_again(
        self,
        new: NewRun,
        thread_id: ThreadId,
        message_id: MessageId,
        cap: LiveRunCap | None = None,
        *,
        only_newest: bool = False,
    ) -> OpenedRun:
        """As `reopen_run`, for a user's message in a thread, whether a run has answered it or not.

        Raises, before `ThreadBusy`, `NewerMessages` for `only_newest` where others than answers stand behind it.
        """
        ...

    @abstractmethod
    async def read_run(self, owner_id: UserId, run_id: RunId) -> Run:
        """The run with its text as last saved. Raises `NotFound`."""
        ...

    @abstractmethod
    async def request_cancel(self, owner_id: UserId, run_id: RunId) -> Run:
        """Marks a live run to be cancelled for its user, and returns it. No effect on one that has ended."""
        ...

    @abstractmethod
    async def forget_keys(self, used_before: datetime, limit: int) -> int:
        """Removes idempotency keys that were used before then, the oldest first. Returns how many: at most `limit`.

        Any number of processes may do it at once, beside all else: nobody waits for it, and it waits for nobody.
        """
        ...
