"""Which run a client asks for: a new turn, the same one once more, or an answer to what was answered before."""

import hashlib
import json
from dataclasses import replace

from chatorch.domain.model.conversation import Message, NewMessage, Role, Thread, ThreadId
from chatorch.domain.model.errors import NotFound
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
OUR_THREADS = "thr_"


async def find_thread(conversations: Conversations, principal: Principal, name: str) -> Thread | None:
    """By the client's own id, or by ours where a thread was begun elsewhere. Raises `NotFound` for ours only."""
    try:
        return await conversations.find(principal, name)
    except NotFound:
        if not name.startswith(OUR_THREADS):
            return None
    return await conversations.thread(principal, ThreadId(name))


async def open_run(runs: Runs, conversations: Conversations, principal: Principal, asked: RunInput) -> Run:
    """Raises as `Runs.start` and `Runs.answer_again` do, and `InvalidField`.

    A page that asks again sends what it has, under a new `runId`: the last message of the user's is in the thread
    already then, and is answered once more.
    """
    question, model, generation = asked.question(), asked.model, asked.generation
    chat = StartChat((question,), model=model, generation=generation, any_length=True)
    if principal.guest:
        return await runs.start(principal, chat)
    digest = _digest(asked.thread_id, asked.question_id, question.content, model, generation.asked())
    chat = replace(chat, client_ref=asked.thread_id, idempotency_key=_key(asked), request=digest)
    thread = await find_thread(conversations, principal, asked.thread_id)
    if thread is None:
        return await runs.start(principal, chat)
    if thread.client_ref != asked.thread_id:
        chat = replace(chat, client_ref=None, thread_id=thread.id)
    known = await _known(conversations, principal, thread, asked, question)
    if known is None:
        return await runs.start(principal, chat)
    runs.check(principal, chat)
    models = () if model is None else (model,)
    again = AnswerAgain(
        thread.id,
        known.id,
        runs.allot(),
        models,
        generation=generation,
        idempotency_key=chat.idempotency_key,
        request=digest,
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
