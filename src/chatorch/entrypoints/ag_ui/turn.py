"""Which run a client asks for: a new turn, the same one once more, or an answer to what was answered before."""

import hashlib
import json
from dataclasses import replace
from typing import NamedTuple

from chatorch.domain.model.conversation import Message, NewMessage, Role, RunId, Thread
from chatorch.domain.model.errors import ThreadBusy
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.run import Run
from chatorch.domain.services.commands import AnswerAgain, StartChat
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.ag_ui.history import called
from chatorch.entrypoints.ag_ui.schemas import RunInput

LOOKED_AT = 50
"""How many of a thread's newest messages may be answered again."""


class Turn(NamedTuple):
    """`opened` by this request; else it may be that its client has some of the answer already."""

    run: Run
    opened: bool


async def open_run(runs: Runs, conversations: Conversations, principal: Principal, asked: RunInput) -> Turn:
    """Raises as `Runs.start` and `Runs.answer_again` do, and `InvalidField`.

    A page that asks again sends what it has, under a new `runId`: the last message of the user's is in the thread
    already then, and is answered once more; or goes on being answered, where its connection broke in between. A live
    answer that nobody follows makes way for a new message: to this client, leaving is all that stopping can be.
    """
    question, allotted = asked.question(), runs.allot()
    chat = StartChat((question,), model=asked.model, generation=asked.generation, any_length=True, allotted=allotted)
    if principal.guest:
        return Turn(await runs.start(principal, chat), opened=True)
    digest = _digest(asked.thread_id, asked.question_id, question.content, asked.model, asked.generation.asked())
    chat = replace(chat, client_ref=asked.thread_id, idempotency_key=_key(asked), request=digest)
    thread = await conversations.named(principal, asked.thread_id)
    known = None
    if thread is None:
        chat = replace(chat, ref_is_new=True)
    else:
        chat = replace(chat, client_ref=None, thread_id=thread.id)
        known = await _known(conversations, principal, thread, asked, question)
    try:
        run = await _open(runs, principal, chat, known)
    except ThreadBusy as busy:
        live = await runs.read(principal, RunId(busy.run_id))
        if known is not None and live.user_message_id == known.id:
            return Turn(live, opened=False)
        await conversations.make_way(principal, live.thread_id)
        run = await _open(runs, principal, chat, known)
    return Turn(run, opened=run.id == allotted.run_id)


async def _open(runs: Runs, principal: Principal, chat: StartChat, known: Message | None) -> Run:
    """`known` is the message where it is stored already."""
    if known is None:
        return await runs.start(principal, chat)
    runs.check(principal, chat)
    again = AnswerAgain(
        known.thread_id,
        known.id,
        chat.allotted or runs.allot(),
        () if chat.model is None else (chat.model,),
        generation=chat.generation,
        idempotency_key=chat.idempotency_key,
        request=chat.request,
    )
    return await runs.answer_again(principal, again)


async def _known(
    conversations: Conversations, principal: Principal, thread: Thread, asked: RunInput, question: NewMessage
) -> Message | None:
    """The same message as it is stored."""
    name = asked.question_id
    if name is None:
        return None
    newest = await conversations.messages(principal, thread.id, PageRequest(LOOKED_AT, descending=True))
    for message in newest.items:
        if message.role is Role.USER and name in {message.id, called(message)}:
            return message if message.content == question.content else None
    return None


def _key(asked: RunInput) -> str:
    """A client's `runId` is unique in its thread, and may be any text."""
    return f"ag-ui-{_digest(asked.thread_id, asked.run_id)}"


def _digest(*said: object) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
