"""What becomes of a message that the provider refuses."""

import pytest

from chatorch.domain.model.conversation import MessageStatus, NewMessage, Role, RunId
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.run import Run, RunStatus
from chatorch.domain.model.upstream_errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamInvalid,
    UpstreamModelUnknown,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnusable,
)
from chatorch.domain.services.commands import AnswerAgain, RetryChat, StartChat
from chatorch.ports.chat_model import Finish
from tests.support.app import ALICE, Chat
from tests.support.fakes import Pause, ScriptedChatModel, Step, settle

FILTERED = Finish("content_filter", None)


async def ended(chat: Chat, text: str, *steps: Step, thread: Run | None = None) -> Run:
    """A turn that the model takes so."""
    chat.model.then(*steps)
    return await chat.ended(await chat.start(text, thread_id=thread and thread.thread_id))


async def marked(chat: Chat, run: Run) -> list[str]:
    page = await chat.conversations.messages(ALICE, run.thread_id, PageRequest(limit=100))
    return [m.content for m in page.items if m.role is Role.USER and m.status is MessageStatus.INCOMPLETE]


def told(chat: Chat) -> list[str]:
    """The last prompt, without the operator's own."""
    return [message.content for message in chat.model.calls[-1].prompt.messages[1:]]


@pytest.mark.parametrize(
    "steps",
    [
        (UpstreamRejected(),),
        (" ", "\n", UpstreamRejected()),
        ("\u200b", UpstreamRejected()),
        # A provider that does not call it an error
        (FILTERED,),
        (" ", FILTERED),
    ],
)
async def test_it_stays_and_is_marked_and_not_sent_again(steps: tuple[Step, ...]):
    chat = Chat()
    first = await ended(chat, "One", "Hello")

    refused = await ended(chat, "bad", *steps, thread=first)
    assert await marked(chat, first) == ["bad"]
    await ended(chat, "Two", "Fine", thread=first)

    assert told(chat) == ["One", "Hello", "Two"]
    assert await marked(chat, first) == ["bad"]
    assert (await chat.runs.read(ALICE, refused.id)).status is refused.status


@pytest.mark.parametrize(
    ("steps", "answer"),
    [
        (("half", UpstreamRejected()), "half"),
        (("half", FILTERED), "half"),
        ((UpstreamModelUnknown(),), ""),
        ((UpstreamUnusable(),), ""),
        ((UpstreamAuthFailed(),), ""),
        ((UpstreamError(),), ""),
        ((UpstreamInvalid(),), ""),
        ((UpstreamRateLimited(),), ""),
        ((UpstreamUnavailable(),), ""),
        ((UpstreamTimeout(),), ""),
        ((ZeroDivisionError(),), ""),
        ((Finish("stop", None),), ""),
        ((Finish("length", None),), ""),
    ],
)
async def test_any_other_end_says_nothing_against_the_message(steps: tuple[Step, ...], answer: str):
    chat = Chat()
    first = await ended(chat, "good", *steps)

    await ended(chat, "Two", "Fine", thread=first)

    assert told(chat) == (["good", answer, "Two"] if answer else ["good\n\nTwo"])
    assert await marked(chat, first) == []


async def test_a_retry_sends_it_again_and_it_is_marked_again_or_answered():
    chat = Chat()
    first = await ended(chat, "One", "Hello")
    bad = await ended(chat, "bad", UpstreamRejected(), thread=first)

    chat.model.then(UpstreamRejected())
    again = await chat.ended(await chat.runs.retry(ALICE, RetryChat(bad.id)))
    assert (told(chat), await marked(chat, first)) == (["One", "Hello", "bad"], ["bad"])

    chat.model.then("After all")
    page = await chat.conversations.messages(ALICE, first.thread_id, PageRequest(limit=100))
    question = next(message for message in page.items if message.content == "bad")
    asked = AnswerAgain(first.thread_id, question.id, chat.runs.allot())
    await chat.ended(await chat.runs.answer_again(ALICE, asked))
    assert (told(chat), await marked(chat, first)) == (["One", "Hello", "bad"], [])

    await ended(chat, "Two", "Fine", thread=first)
    assert told(chat) == ["One", "Hello", "bad", "After all", "Two"]
    assert again.status is RunStatus.FAILED


async def test_while_a_retry_goes_on_it_is_not_marked():
    pause = Pause()
    chat = Chat()
    bad = await ended(chat, "bad", UpstreamRejected())

    chat.model.then(pause)
    run = await chat.runs.retry(ALICE, RetryChat(bad.id))
    await pause.reached()
    assert await marked(chat, bad) == []

    await chat.runs.cancel(ALICE, run.id)
    assert (await chat.ended(run)).status is RunStatus.CANCELLED
    assert await marked(chat, bad) == [], "this time nobody refused it"


async def test_of_a_request_with_several_the_last_is_marked_and_the_others_when_it_happens_again():
    chat = Chat()
    opening = [(Role.SYSTEM, "Rule"), (Role.USER, "Old"), (Role.ASSISTANT, "Bad reply"), (Role.USER, "New")]
    chat.model.then(UpstreamRejected())
    start = StartChat(tuple(NewMessage(role, content) for role, content in opening))
    first = await chat.ended(await chat.runs.start(ALICE, start))
    assert await marked(chat, first) == ["New"]

    await ended(chat, "Two", UpstreamRejected(), thread=first)
    assert told(chat) == ["Old", "Bad reply", "Two"], "what came with it may be innocent"
    await ended(chat, "Three", "Fine", thread=first)
    assert told(chat) == ["Three"], "but hardly after a second refusal"
    assert chat.model.calls[-1].prompt.messages[0].content == "Be brief.\n\nRule"
    assert await marked(chat, first) == ["New", "Two"]

    chat.model.then("Fine")
    await chat.ended(await chat.runs.retry(ALICE, RetryChat(first.id)))
    assert told(chat) == ["Old", "Bad reply", "New"], "a retry sends what its run had sent"


async def test_a_store_that_is_away_marks_it_once_it_is_back():
    pause = Pause()
    chat = Chat(ScriptedChatModel(pause, UpstreamRejected()))
    run = await chat.start("bad")
    await pause.reached()
    chat.store.available = False
    pause.go_on()
    await settle()
    chat.store.available = True
    assert await marked(chat, run) == []

    await chat.clock.advance(5)

    assert await marked(chat, run) == ["bad"]
    assert chat.telemetry.outages


async def test_a_worker_that_lost_the_run_marks_nothing():
    pause = Pause()
    chat = Chat(ScriptedChatModel(pause, UpstreamRejected()))
    run = await chat.start("bad")
    await pause.reached()
    await chat.store.execution_store.interrupt(await chat.store.execution_store.live_runs(), chat.clock.now())
    pause.go_on()

    await chat.executor.ended(run.id, 5)

    assert (await chat.runs.read(ALICE, RunId(run.id))).status is RunStatus.INTERRUPTED
    assert await marked(chat, run) == []
