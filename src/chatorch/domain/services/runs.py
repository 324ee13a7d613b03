"""Runs, as their users see them: start, retry, read, follow, answer, cancel."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from chatorch.domain.model.call_answers import accepted, with_bounded_results
from chatorch.domain.model.calls import calls_in, results_in
from chatorch.domain.model.content import Content, Draft, PartDelta, PartEnded, PartStarted, Snapshot, fresher
from chatorch.domain.model.context import ContextWindow
from chatorch.domain.model.conversation import Message, MessageId, NewMessage, Role, RunId, ThreadId
from chatorch.domain.model.errors import Draining, NotFound, RunUnsettled
from chatorch.domain.model.generation import AS_USUAL, Generation
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.policy import ChatPolicy, require_no_guest_thread, require_own_label, require_own_ref
from chatorch.domain.model.run import (
    STORE_AWAY,
    CancelReason,
    Run,
    RunEvent,
    RunStarted,
    RunStatus,
    Silence,
    TerminalEvent,
)
from chatorch.domain.model.titles import title_from
from chatorch.domain.services.admission import Admission
from chatorch.domain.services.commands import Allotted, AnswerAgain, AnswerCalls, RetryChat, StartChat
from chatorch.domain.services.execution.executor import Executor
from chatorch.domain.services.execution.subscription import Subscription
from chatorch.domain.services.opening import Opener, Opening
from chatorch.ports.admission import RunRequest
from chatorch.ports.calls import AnsweredCalls, CallStore
from chatorch.ports.client_refs import ClientRefStore
from chatorch.ports.connections import Connections
from chatorch.ports.run_control import CancelCall, RunControl
from chatorch.ports.run_log import RunLog
from chatorch.ports.runs import ClientRefTaken, IdempotencyKey, NewRun, OpenTurn, RunStore
from chatorch.ports.system import Clock, IdFactory

UNSETTLED_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A run that was waited for: all its content, and how it ended."""

    run: Run
    content: Content
    terminal: TerminalEvent


class Runs:
    """Everything that can be done with a run. What belongs to somebody else is `NotFound`."""

    def __init__(
        self,
        *,
        store: RunStore,
        client_refs: ClientRefStore,
        calls: CallStore,
        log: RunLog,
        run_control: RunControl,
        connections: Connections,
        executor: Executor,
        clock: Clock,
        ids: IdFactory,
        policy: ChatPolicy,
        context: ContextWindow,
        admission: Admission,
    ) -> None:
        self._store = store
        self._client_refs = client_refs
        self._calls = calls
        self._log = log
        self._run_control = run_control
        self._executor = executor
        self._clock = clock
        self._ids = ids
        self._policy = policy
        self._context = context
        self._opener = Opener(executor=executor, admission=admission, context=context, connections=connections)
        self._subscription = Subscription(store=store, log=log, executor=executor, clock=clock)

    # -- opening ---------------------------------------------------------------------------------------------------

    async def start(self, principal: Principal, chat: StartChat) -> Run:
        """Stores the messages and a run, starts to carry it out, and returns. From here on nothing is lost.

        The same idempotency key again returns the run that it opened; a guest is never the same again. Raises
        `InvalidField`, `RoleNotAllowed`, `ModelNotAllowed`, `UserMismatch`, `GuestThread`, `NotFound`, `ThreadBusy`,
        `TooManyRuns`, `TooManyRequests`, `IdempotencyKeyReused`, `Draining`, `StoreUnavailable`.
        """
        if chat.client_ref is None or chat.thread_id is not None:
            return await self._start(principal, chat, chat.thread_id)
        if chat.ref_is_new:
            with suppress(ClientRefTaken):
                return await self._start(principal, chat, None)
        while True:
            found = await self._client_refs.find_thread(principal.user_id, chat.client_ref)
            try:
                return await self._start(principal, chat, found.id if found else None)
            except ClientRefTaken:
                continue

    async def _start(self, principal: Principal, chat: StartChat, thread_id: ThreadId | None) -> Run:
        messages = self._checked(principal, chat, thread_id)
        if thread_id is None and chat.instead_of is not None:
            raise NotFound
        allotted = chat.allotted or self.allot()
        new = self._new_run(principal, chat.model, chat.idempotency, allotted, chat.generation)
        new = replace(new, guest_label=chat.user_label) if principal.guest else replace(new, background=chat.background)
        turn = OpenTurn(
            thread_id=thread_id or allotted.thread_id,
            title=None if thread_id else chat.title or _title(chat.messages),
            messages=allotted.named(messages, self._ids),
            client_ref=None if thread_id else chat.client_ref,
            stored=chat.stored,
            instead_of=chat.instead_of,
        )
        opening = Opening(
            RunRequest(new.model, sum(len(message.content) for message in chat.messages)),
            partial(self._store.open_run, new, turn),
            chat.client_id,
            announced=chat.stored,
        )
        return await self._opener.open(principal, opening)

    def check(self, principal: Principal, chat: StartChat) -> None:
        """Raises what `start` would that does not depend on the store."""
        self._checked(principal, chat, chat.thread_id)
        self._policy.model_for(chat.model)
        if self._executor.draining:
            raise Draining

    def _checked(self, principal: Principal, chat: StartChat, thread_id: ThreadId | None) -> tuple[NewMessage, ...]:
        """The messages, as they are to be stored."""
        require_own_label(principal, chat.user_label)
        require_own_ref(chat.client_ref)
        require_no_guest_thread(principal, thread_id)
        messages = with_bounded_results(chat.messages, self._policy.max_tool_result_chars)
        self._policy.check_messages(messages, opens_thread=thread_id is None, any_length=chat.any_length)
        self._policy.check_generation(chat.generation)
        if principal.guest:
            self._policy.check_guests(messages, chat.generation)
        return messages

    async def retry(self, principal: Principal, retry: RetryChat) -> Run:
        """A new run for the user message that `retry.run_id` answered. Raises like `start`, and `RunSuperseded`.

        Without a model of its own it takes the earlier run's, if that is still allowed. It is generated as that was.
        """
        earlier = await self._store.read_run(principal.user_id, retry.run_id)
        wanted = retry.model or (earlier.model if self._policy.allows(earlier.model) else None)
        new = self._new_run(principal, wanted, retry.idempotency, self.allot(), earlier.generation)
        store = partial(self._store.reopen_run, new, retry.run_id)
        return await self._opener.open(principal, Opening(RunRequest(new.model, 0), store))

    async def answer_again(self, principal: Principal, again: AnswerAgain) -> Run:
        """As `retry`, by the user's message, which need not have been answered before. Raises `NewerMessages` too."""
        model = next(filter(self._policy.allows, again.models), None)
        new = self._new_run(principal, model, again.idempotency, again.allotted, again.generation)
        only = again.only_newest
        store = partial(self._store.answer_again, new, again.thread_id, again.message_id, only_newest=only)
        return await self._opener.open(principal, Opening(RunRequest(new.model, 0), store))

    async def answer_calls(self, principal: Principal, said: AnswerCalls) -> Run:
        """Goes on with a turn that waits, by what is said to its calls. The same said again is the same run.

        Where nothing else is asked for, by the model that asked, if that is still allowed, and as that was, but that it
        need not call anything. Where messages of the user's follow, these are answered, and nothing can be approved.
        Raises what `CallStore.answer_calls` does, `InvalidField`, and as `start`.
        """
        require_no_guest_thread(principal, said.thread_id)
        self._policy.check_generation(said.generation or AS_USUAL)
        most = self._policy.max_tool_result_chars
        answers = accepted(said.answers, most, more_follows=bool(said.messages))
        if said.messages:
            self._policy.check_messages(said.messages, opens_thread=False, any_length=said.any_length)
        earlier = await self._calls.asking_run(principal.user_id, said.thread_id)
        wanted = said.model or (earlier.model if self._policy.allows(earlier.model) else None)
        generation = earlier.generation.going_on() if said.generation is None else said.generation
        allotted = said.allotted or self.allot()
        new = self._new_run(principal, wanted, said.idempotency, allotted, generation)
        new = replace(new, background=said.background)
        ids = tuple(MessageId(self._ids.new("msg")) for _ in answers)
        answered = AnsweredCalls(said.thread_id, answers, ids, allotted.named(said.messages, self._ids))
        request = RunRequest(new.model, sum(len(message.content) for message in said.messages))
        store = partial(self._calls.answer_calls, new, answered)
        return await self._opener.open(principal, Opening(request, store, said.client_id))

    async def waited_for(self, principal: Principal, message_id: MessageId, content: Content) -> Sequence[Message]:
        """What was said since a message that has ended, as far as that tells how its calls stand."""
        answered = results_in(content.parts)
        if all(call.head["id"] in answered for call in calls_in(content.parts)):
            return ()
        return await self._calls.said_since(principal.user_id, message_id)

    def allot(self) -> Allotted:
        """Ids and a time for a turn that is about to be asked for."""
        return Allotted(
            run_id=RunId(self._ids.new("run")),
            thread_id=ThreadId(self._ids.new("thr")),
            message_id=MessageId(self._ids.new("msg")),
            now=self._clock.now(),
        )

    def _new_run(
        self,
        principal: Principal,
        model: str | None,
        idempotency: IdempotencyKey | None,
        allotted: Allotted,
        generation: Generation = AS_USUAL,
    ) -> NewRun:
        return NewRun(
            run_id=allotted.run_id,
            message_id=MessageId(self._ids.new("msg")),
            owner_id=principal.user_id,
            model=self._policy.model_for(model),
            now=allotted.now,
            history_chars=self._context.max_chars,
            idempotency=None if principal.guest else idempotency,
            generation=generation,
            scopes=principal.scopes,
        )

    # -- reading ---------------------------------------------------------------------------------------------------

    async def read(self, principal: Principal, run_id: RunId) -> Run:
        """The run with its text so far. Raises `NotFound`, `StoreUnavailable`."""
        executed_here = self._executor.executes(run_id)
        run = await self._store.read_run(principal.user_id, run_id)
        if executed_here and run.status.live and not self._executor.executes(run_id):
            # It ended while its row was read.
            run = await self._store.read_run(principal.user_id, run_id)
        live = self._log.content(run_id) if run.status.live else None
        base = self._log.base(run_id)
        if live is None or base is None or base < run.base:
            return run
        # Of one attempt, a copy of another process's may have fallen behind its row.
        content = live if base > run.base else fresher(run.content, live)
        if content is not run.content:
            return replace(run, status=RunStatus.STREAMING, content=content, seq=base + content.tip)
        return run

    async def cancel(self, principal: Principal, run_id: RunId) -> None:
        """Stops a run wherever it is executed; no effect on one that has ended. Raises `NotFound`, `StoreUnavailable`.

        Once it returns, the store knows: whichever worker dies, nobody goes on with the run. One that is executed here
        is stopped at once, also where it raises.
        """
        if self._executor.executes(run_id, principal.user_id):
            self._executor.stop(run_id, CancelReason.USER)
        run = await self._store.request_cancel(principal.user_id, run_id)
        if run.status.live:
            self._executor.stop(run_id, CancelReason.USER)
            self._run_control.cancel(CancelCall(run_id))

    async def answer(self, run: Run) -> Answer:
        """Waits for the end. Raises `RunUnsettled` when the store does not take it for 10 s."""
        draft = Draft()
        away_since: float | None = None
        events = self.events(run)
        try:
            async for event in events:
                match event:
                    case PartDelta() | PartStarted() | PartEnded() | Snapshot():
                        draft.apply(event)
                    case Silence():
                        now = self._clock.monotonic()
                        away_since = (away_since or now) if event is STORE_AWAY else None
                        unsettled = self._executor.unsettled_for(run.id)
                        if max(unsettled, now - (away_since or now)) >= UNSETTLED_S:
                            raise RunUnsettled(run.id)
                    case RunStarted():
                        pass
                    case _:
                        return Answer(run, draft.content(), event)
        finally:
            await events.aclose()
        raise RuntimeError("a run's events ended without a terminal one")

    def events(self, run: Run, after: int = 0) -> AsyncGenerator[RunEvent | Silence]:
        """What comes after position `after`: replay, then live, until the terminal event. No gap, no repeat.

        `run` is one that `start` or `read` returned, so the caller may see it. `SILENCE` stands for two seconds
        without an event. Raises nothing once it has begun: a store that is away is silence.
        """
        return self._subscription.events(run, after)


def _title(messages: tuple[NewMessage, ...]) -> str:
    return title_from(next(message.content for message in messages if message.role is Role.USER))
