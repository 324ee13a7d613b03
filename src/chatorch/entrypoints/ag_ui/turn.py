"""Which run a client asks for: a new turn, the same one once more, or an answer to what was answered before."""

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from chatorch.domain.model.call_answers import Answer, CallDecision
from chatorch.domain.model.calls import turn_of
from chatorch.domain.model.conversation import OUR_THREADS, Message, MessageId, RunId, Thread, ThreadId
from chatorch.domain.model.errors import IdempotencyKeyReused, InvalidField, NewerMessages, NotFound, ThreadBusy
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.parts import Part
from chatorch.domain.model.run import Run, RunStatus
from chatorch.domain.model.tools import CallStatus
from chatorch.domain.services.commands import AnswerAgain, AnswerCalls, StartChat
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.ag_ui.answers import answers_in, model_names, require_cancelled
from chatorch.entrypoints.ag_ui.calls import NOTHING_EARLIER, Earlier, result_id, result_members, stand_in, told_result
from chatorch.entrypoints.ag_ui.client_ids import client_id_in
from chatorch.entrypoints.ag_ui.history import latest, names_in, waited_for
from chatorch.entrypoints.ag_ui.schemas import RunInput

BEHIND = "Newer messages follow this one: connect to see what has been said since, and say something new."


class Turn(NamedTuple):
    """`opened` by this request; else it may be that its client has some of the answer already.

    `earlier` are the calls before the run in its turn, and `told_first` is what its client is to hear of calls.
    """

    run: Run
    opened: bool
    earlier: Earlier = NOTHING_EARLIER
    told_first: bytes = b""


async def open_run(runs: Runs, conversations: Conversations, principal: Principal, asked: RunInput) -> Turn:
    """Raises as `Runs.start`, `Runs.answer_again` and `Runs.answer_calls` do, and `InvalidField`.

    A page that asks again sends what it has, under a new `runId`: the last message of the user's is in the thread
    already then, and is answered once more; or goes on being answered, where its connection broke in between. One that
    others follow is refused (`NewerMessages`): its page may not know of them, and they would leave the history. A live
    answer that nobody follows makes way for a new message: to this client, leaving is all that stopping can be.

    What is said to calls that wait opens the next run of their turn; a new message of the user's leaves them undone.
    """
    if principal.guest:
        return await _guests(runs, principal, asked)
    thread = await conversations.named(principal, asked.thread_id)
    if not (asked.resume or asked.has_open_calls() or asked.results()):
        return await _ask(runs, conversations, principal, asked, thread)
    if thread is None:
        if asked.resume or asked.brings_results():
            raise NotFound
        return await _ask(runs, conversations, principal, asked, None)
    messages = await latest(conversations, principal, thread.id)
    waiting = waited_for(messages)
    if not await _says_something_new(conversations, principal, thread, asked):
        answers = answers_in(asked, waiting, model_names(messages))
        if answers:
            return await _answer(runs, principal, asked, thread, messages, answers)
        return await _ask(runs, conversations, principal, asked, thread)
    require_cancelled(asked.resume or ())
    turn = await _ask(runs, conversations, principal, asked, thread)
    undone = (told_result(stand_in(each.call_id, CallStatus.NOT_EXECUTED)) for each in waiting)
    return turn._replace(told_first=b"".join(undone)) if turn.opened else turn


async def _guests(runs: Runs, principal: Principal, asked: RunInput) -> Turn:
    """Nobody could say later what came of a call."""
    if asked.resume or asked.brings_results():
        raise InvalidField("resume" if asked.resume else "messages", "must answer no calls: a guest has one turn")
    unnamed = replace(asked.question(), metadata={})  # there is nothing for it to come back to
    ours = ThreadId(asked.thread_id) if asked.thread_id.startswith(OUR_THREADS) else None
    chat = StartChat((unnamed,), ours, asked.model, generation=asked.generation, any_length=True)
    return Turn(await runs.start(principal, chat), opened=True)


async def _says_something_new(
    conversations: Conversations, principal: Principal, thread: Thread, asked: RunInput
) -> bool:
    if not asked.ends_with_question:
        return False
    return await _known(conversations, principal, thread.id, asked, asked.question().content) is None


async def _answer(
    runs: Runs,
    principal: Principal,
    asked: RunInput,
    thread: Thread,
    messages: list[Message],
    answers: tuple[Answer, ...],
) -> Turn:
    """What was answered already goes on, or is shown; where that ended badly, the whole turn is answered once more."""
    allotted = runs.allot()
    said = AnswerCalls(thread.id, answers, idempotency_key=_key(asked), allotted=allotted)
    run = await runs.answer_calls(principal, said)
    if run.id == allotted.run_id:
        return _gone_on(run, messages, answers)
    if not run.status.live and run.status is not RunStatus.COMPLETED:
        again = AnswerAgain(
            thread.id,
            run.user_message_id,
            runs.allot(),
            () if asked.model is None else (asked.model,),
            generation=asked.generation,
            idempotency_key=_key(asked),
            request=_digest("again", run.id),
            only_newest=True,
        )
        with suppress(IdempotencyKeyReused):  # the same `runId`, so it is the same run
            return Turn(await runs.answer_again(principal, again), opened=True)
    return Turn(run, opened=False)


def _gone_on(run: Run, messages: list[Message], answers: tuple[Answer, ...]) -> Turn:
    """With what its client does not know: which calls are refused."""
    names = names_in(turn_of(messages))
    decisions = {names[each.call_id]: each for each in answers if isinstance(each, CallDecision)}
    results = {call_id: decision.result() for call_id, decision in decisions.items()}
    approved = tuple(each for each in waited_for(messages) if each.call_id in results and not results[each.call_id])
    told = (_refusal(call_id, result) for call_id, result in results.items() if result is not None)
    return Turn(run, True, Earlier(names, approved), b"".join(told))


def _refusal(call_id: str, result: Part) -> bytes:
    members = result_members(call_id, result.body, str(result.head["status"]))
    return told_result({"messageId": result_id(call_id), **members})


async def _ask(
    runs: Runs, conversations: Conversations, principal: Principal, asked: RunInput, thread: Thread | None
) -> Turn:
    question, allotted = asked.question(), runs.allot()
    chat = StartChat((question,), model=asked.model, generation=asked.generation, any_length=True, allotted=allotted)
    digest = _digest(asked.thread_id, asked.question_id, question.content, asked.model, asked.generation.asked())
    chat = replace(chat, client_ref=asked.thread_id, idempotency_key=_key(asked), request=digest)
    known = None
    if thread is None:
        chat = replace(chat, ref_is_new=True)
    else:
        chat = replace(chat, client_ref=None, thread_id=thread.id)
        known = await _known(conversations, principal, thread.id, asked, question.content)
    try:
        run = await _open(runs, principal, chat, known)
    except ThreadBusy as busy:
        live = await runs.read(principal, RunId(busy.run_id))
        chat = replace(chat, client_ref=None, ref_is_new=False, thread_id=live.thread_id)
        if known is None:  # unless it came meanwhile, with a request that its page gave up
            known = await _known(conversations, principal, live.thread_id, asked, question.content)
        if known is not None and live.user_message_id == known:
            return Turn(live, opened=False)
        if known is None:
            await conversations.make_way(principal, live.thread_id)
        run = await _open(runs, principal, chat, known)
    return Turn(run, opened=run.id == allotted.run_id)


async def _open(runs: Runs, principal: Principal, chat: StartChat, known: MessageId | None) -> Run:
    """`known` is the message where it is stored already, in the thread of `chat`."""
    if known is None or chat.thread_id is None:
        return await runs.start(principal, chat)
    runs.check(principal, chat)
    again = AnswerAgain(
        chat.thread_id,
        known,
        chat.allotted or runs.allot(),
        () if chat.model is None else (chat.model,),
        generation=chat.generation,
        idempotency_key=chat.idempotency_key,
        request=chat.request,
        only_newest=True,
    )
    try:
        return await runs.answer_again(principal, again)
    except NewerMessages:
        raise NewerMessages(BEHIND) from None


async def _known(
    conversations: Conversations, principal: Principal, thread_id: ThreadId, asked: RunInput, text: str
) -> MessageId | None:
    """The same message as it is stored; with a text that its client changed it is another one."""
    name = asked.question_id
    if name is None:
        return None
    alike = await conversations.questions(principal, thread_id, text)
    return next((each.id for each in alike if name in {each.id, client_id_in(each.metadata)}), None)


def _key(asked: RunInput) -> str:
    """A client's `runId` is unique in its thread, and may be any text."""
    return f"ag-ui-{_digest(asked.thread_id, asked.run_id)}"


def _digest(*said: object) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
