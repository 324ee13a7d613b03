"""What clients ask of `Runs`."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from typing import Any

from chatorch.domain.model.call_answers import Answer
from chatorch.domain.model.conversation import MessageId, NewMessage, RunId, ThreadId
from chatorch.domain.model.generation import AS_USUAL, Generation
from chatorch.domain.model.presence import ClientId
from chatorch.ports.runs import IdempotencyKey
from chatorch.ports.system import IdFactory


@dataclass(frozen=True, slots=True)
class Allotted:
    """Ids and time of a turn, for a door that tells its client of them first: run, thread if new, user's message."""

    run_id: RunId
    thread_id: ThreadId
    message_id: MessageId
    now: datetime

    def named(self, messages: Sequence[NewMessage], ids: IdFactory) -> tuple[tuple[MessageId, NewMessage], ...]:
        """Messages with ids, the last with the one that was allotted."""
        earlier = [MessageId(ids.new("msg")) for _ in messages[1:]]
        return tuple(zip((*earlier, self.message_id), messages, strict=False))


@dataclass(frozen=True, slots=True)
class StartChat:
    """What a client asks for. `user_label` is the request's `user_id`; without `thread_id` a thread is opened.

    `client_ref` instead is the client's own id for a thread: the one of that name, or a new one with it; `ref_is_new`
    where it was looked for just now, and there was none. `client_id` is the device that asks, where one is connected:
    all others of the user are told. `title` is the new thread's, by default made from what is said; one that is not
    `stored` is not listed, no device is told of it, and it is removed after a while. `allotted` is what `Runs.allot`
    gave; the message is the last one. `any_length`: the operator's limit for a message is not this door's.
    `instead_of`: a message of the user's that these replace; what came after it leaves the history as well.
    `background`: it goes on to its end though nobody watches; not for guests. `request` tells one use of a key from
    another, where what is asked here depends on what a thread holds by then; by default all else does.
    """

    messages: tuple[NewMessage, ...]
    thread_id: ThreadId | None = None
    model: str | None = None
    user_label: str | None = None
    idempotency_key: str | None = None
    client_id: ClientId | None = None
    title: str | None = None
    allotted: Allotted | None = None
    client_ref: str | None = None
    ref_is_new: bool = False
    stored: bool = True
    generation: Generation = AS_USUAL
    any_length: bool = False
    instead_of: MessageId | None = None
    background: bool = False
    request: str | None = None

    @property
    def idempotency(self) -> IdempotencyKey | None:
        """The key with a digest of what is asked; through which door the answer goes is not part of it."""
        if self.request is not None:
            return _idempotency(self.idempotency_key, ["request", self.request])
        messages = [_digested(message) for message in self.messages]
        generation = replace(self.generation, unattended=None)  # says which door it is
        request: list[Any] = ["chat", self.thread_id, self.model, self.user_label, messages]
        if (self.client_ref, self.instead_of, generation) != (None, None, AS_USUAL):
            request += [self.client_ref, generation.asked(), self.instead_of]
        if not self.stored:
            request.append("not stored")
        return _idempotency(self.idempotency_key, request)


def _digested(message: NewMessage) -> list[Any]:
    told = [message.role, message.content, message.timestamp, dict(message.metadata)]
    parts = [[part.kind, dict(part.head), part.body] for part in message.parts]
    return [*told, parts] if parts else told


@dataclass(frozen=True, slots=True)
class RetryChat:
    """Answer the same user message once more; what came after it leaves the history."""

    run_id: RunId
    model: str | None = None
    idempotency_key: str | None = None

    @property
    def idempotency(self) -> IdempotencyKey | None:
        return _idempotency(self.idempotency_key, ["retry", self.run_id, self.model])


@dataclass(frozen=True, slots=True)
class AnswerAgain:
    """Answer a user's message (once more); what came after it leaves the history.

    By the first of `models` that is allowed, or by the default one. `request` as of `StartChat`. `only_newest`: not
    where other messages than answers stand behind it, for who may not know of them.
    """

    thread_id: ThreadId
    message_id: MessageId
    allotted: Allotted
    models: tuple[str, ...] = ()
    generation: Generation = AS_USUAL
    idempotency_key: str | None = None
    request: str | None = None
    only_newest: bool = False

    @property
    def idempotency(self) -> IdempotencyKey | None:
        if self.request is not None:
            return _idempotency(self.idempotency_key, ["request", self.request])
        request = ["again", self.thread_id, self.message_id, list(self.models), self.generation.asked()]
        return _idempotency(self.idempotency_key, request)


@dataclass(frozen=True, slots=True)
class AnswerCalls:
    """What is said to all calls that a thread's turn waits for, to each once. `client_id`, `allotted`, `background` and
    `any_length` as of `StartChat`; without `model` and `generation` it goes on by that of the run that asked, and as
    that was. `messages` are what the user says behind the answers: the last of them is what is answered then."""

    thread_id: ThreadId
    answers: tuple[Answer, ...]
    client_id: ClientId | None = None
    idempotency_key: str | None = None
    allotted: Allotted | None = None
    model: str | None = None
    generation: Generation | None = None
    background: bool = False
    messages: tuple[NewMessage, ...] = ()
    any_length: bool = False

    @property
    def idempotency(self) -> IdempotencyKey | None:
        said = [[type(answer).__name__, *astuple(answer)] for answer in self.answers]
        request: list[Any] = ["calls", self.thread_id, said]
        if (self.model, self.generation) != (None, None):
            request += [self.model, None if self.generation is None else self.generation.asked()]
        if self.messages:
            request.append([_digested(message) for message in self.messages])
        return _idempotency(self.idempotency_key, request)


def _idempotency(key: str | None, request: list[Any]) -> IdempotencyKey | None:
    if key is None:
        return None
    return IdempotencyKey(key, hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest())
