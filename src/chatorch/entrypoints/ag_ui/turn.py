"""Which run a client asks for: a new turn, the same one once more, or an answer to what was answered before."""

import hashlib
import json
from dataclasses import replace
from typing import NamedTuple

from chatorch.domain.model.conversation import OUR_THREADS, MessageId, RunId, ThreadId
from chatorch.domain.model.errors import NewerMessages, ThreadBusy
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.run import Run
from chatorch.domain.services.commands import AnswerAgain, StartChat
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.ag_ui.client_ids import client_id_in
from chatorch.entrypoints.ag_ui.schemas import RunInput

BEHIND = "Newer messages follow this one: connect to see what has been said since, and say something new."


class Turn(NamedTuple):
    """`opened` by this request; else it may be that its client has some of the answer already."""

    run: Run
    opened: bool


async def open_run(runs: Runs, conversations: Conversations, principal: Principal, asked: RunInput) -> Turn:
    """Raises as `Runs.start` and `Runs.answer_again` do, and `InvalidField`.

    A page that asks again sends what it has, under a new `runId`: the last message of the user's is in the thread
    already then, and is answered once more; or goes on being answered, where its connection broke in between. One that
    others follow is refused (`NewerMessages`): its page may not know of them, and they would leave the history. A live
    answer that nobody follows makes way for a new message: to this client, leaving is all that stopping can be.
    """
    question, allotted = asked.question(), runs.allot()
    chat = StartChat((question,), model=asked.model, generation=asked.generation, any_length=True, allotted=allotted)
    if principal.guest:
        ours = ThreadId(asked.thread_id) if asked.thread_id.startswith(OUR_THREADS) else None
        unnamed = replace(question, metadata={})  # there is nothing for it to come back to
        return Turn(await runs.start(principal, replace(chat, messages=(unnamed,), thread_id=ours)), opened=True)
    digest = _digest(asked.thread_id, asked.question_id, question.content, asked.model, asked.generation.asked())
    chat = replace(chat, client_ref=asked.thread_id, idempotency_key=_key(asked), request=digest)
    thread = await conversations.named(principal, asked.thread_id)
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
