"""What a retry makes of calls that were made before their run ended badly."""

import pytest

from chatorch.domain.model.call_answers import CallDecision
from chatorch.domain.model.conversation import Message, ThreadId
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import Run, RunStatus
from chatorch.domain.model.upstream_errors import UpstreamTimeout
from chatorch.domain.services.commands import AnswerAgain, AnswerCalls, RetryChat
from tests.support.app import ALICE, Chat
from tests.support.fakes import Pause
from tests.support.strict import calls_objection
from tests.support.turns import ASKS, Handled, calling, handled
from tests.unit.domain.services.execution.test_tool_loop_takeovers import carried_on, worker

DOWN = UpstreamTimeout()


def paying(*tools: Handled, **about: object) -> tuple[Chat, Handled]:
    pay = Handled("pay", "paid 10 EUR", about=about)
    return Chat(tools=[handled(pay, *tools)]), pay


async def retried(chat: Chat, run: Run) -> Run:
    return await chat.ended(await chat.runs.retry(ALICE, RetryChat(run.id)))


async def messages(chat: Chat, thread_id: ThreadId) -> list[Message]:
    page = await chat.conversations.messages(ALICE, thread_id, PageRequest(100, descending=False))
    return list(page.items)


def told(chat: Chat) -> list[tuple[str, str]]:
    """What the model was asked last, without the system's message."""
    prompt = chat.model.calls[-1].prompt.messages
    rows = [(m.role.value, [str(c.head["id"]) for c in m.calls], m.call_id) for m in prompt]
    assert calls_objection(rows) is None
    return [(m.role.value, m.content) for m in prompt[1:]]


async def test_it_goes_on_from_what_was_done_and_makes_no_call_again():
    chat, pay = paying()
    chat.model.then("Let me pay. ", *calling("pay"), ASKS)
    chat.model.then("I have p", DOWN)
    failed = await chat.ended(await chat.start("Pay!"))
    assert failed.status is RunStatus.FAILED
    chat.model.then("All paid.")
    again = await retried(chat, failed)
    assert (again.status, again.text, len(pay.made)) == (RunStatus.COMPLETED, "All paid.", 1)
    asked = [("user", "Pay!"), ("assistant", "Let me pay. "), ("tool", "paid 10 EUR")]
    assert told(chat) == asked, "without what was not said to the end"
    said = await messages(chat, again.thread_id)
    assert [message.run_id for message in said] == [None, failed.id, again.id]
    assert again.user_message_id == failed.user_message_id
    await chat.ended(await chat.start("Thanks", thread_id=again.thread_id))
    assert told(chat) == [*asked, ("assistant", "All paid."), ("user", "Thanks")]


async def test_it_may_end_badly_as_often_as_it_likes():
    chat, pay = paying()
    chat.model.then(*calling("pay"), ASKS)
    chat.model.then(DOWN)
    run = await chat.ended(await chat.start("Pay!"))
    for words in ("", "Well, ", ""):
        chat.model.then(*filter(None, [words]), DOWN)
        run = await retried(chat, run)
        assert run.status is RunStatus.FAILED
        assert told(chat) == [("user", "Pay!"), ("assistant", ""), ("tool", "paid 10 EUR")]
    chat.model.then("Paid.")
    assert ((await retried(chat, run)).text, len(pay.made)) == ("Paid.", 1)


async def test_the_same_retry_twice_makes_no_call_again():
    chat, pay = paying()
    chat.model.then(*calling("pay"), ASKS)
    chat.model.then(DOWN)
    failed = await chat.ended(await chat.start("Pay!"))
    for text in ("Paid.", "Paid, as I said."):
        chat.model.then(text)
        again = await retried(chat, failed)
        assert [message.content for message in await messages(chat, failed.thread_id)] == ["Pay!", "", text]
    chat.model.then(*calling("pay"), ASKS)
    chat.model.then("Paid twice.")
    assert (len(pay.made), (await retried(chat, again)).text, len(pay.made)) == (1, "Paid twice.", 2), "asked anew"


async def test_messages_behind_it_leave_the_history_and_its_calls_stay():
    chat, pay = paying()
    chat.model.then(*calling("pay"), ASKS)
    chat.model.then(DOWN)
    failed = await chat.ended(await chat.start("Pay!"))
    await chat.ended(await chat.start("Never mind", thread_id=failed.thread_id))
    chat.model.then("Paid.")
    again = await retried(chat, failed)
    assert (len(pay.made), [m.run_id for m in await messages(chat, again.thread_id)]) == (
        1,
        [None, failed.id, again.id],
    )


async def test_a_call_whose_end_nobody_knows_is_told_as_that():
    held = Pause()
    slow = Handled("slow", waits=held)
    chat, pay = paying(slow)
    chat.model.then(*calling("pay", "a"), *calling("slow", "b"), ASKS)
    run = await chat.start("Pay!")
    await held.reached()
    await chat.runs.cancel(ALICE, run.id)
    stopped = await chat.ended(run)
    assert stopped.status is RunStatus.CANCELLED
    chat.model.then("Who knows.")
    again = await retried(chat, stopped)
    assert (again.text, len(pay.made), len(slow.made)) == ("Who knows.", 1, 1)
    assert [(role, content[:15]) for role, content in told(chat)[2:]] == [
        ("tool", "paid 10 EUR"),
        ("tool", "It is not known"),
    ]


async def test_a_call_of_a_step_that_was_not_said_to_the_end_was_never_made_and_its_id_is_not_given_again():
    chat, pay = paying(Handled("look"))
    chat.model.then(*calling("pay", "c1"), ASKS)
    chat.model.then(*calling("look", "c2"), DOWN)
    failed = await chat.ended(await chat.start("Pay!"))
    chat.model.then(*calling("look", "c2"), ASKS)
    chat.model.then("Done.")
    again = await retried(chat, failed)
    assert told(chat) == [
        ("user", "Pay!"),
        ("assistant", ""),
        ("tool", "paid 10 EUR"),
        ("assistant", ""),
        ("tool", "done"),
    ]
    assert (again.text, len(pay.made)) == ("Done.", 1)
    assert [part.head["id"] for part in again.content.parts if part.kind is PartKind.TOOL_CALL] == ["c2_2"]


async def test_where_no_call_was_begun_everything_is_asked_anew():
    chat, pay = paying()
    chat.model.then("I ", *calling("pay"), DOWN)
    failed = await chat.ended(await chat.start("Pay!"))
    chat.model.then("No.")
    again = await retried(chat, failed)
    assert (told(chat), len(pay.made)) == ([("user", "Pay!")], 0)
    assert [message.content for message in await messages(chat, again.thread_id)] == ["Pay!", "No."]


async def test_the_model_need_not_call_again_what_it_had_to_call():
    chat, _ = paying()
    chat.model.then(*calling("pay"), ASKS)
    chat.model.then(DOWN)
    failed = await chat.ended(await chat.start("Pay!", generation=Generation(tool_choice="required")))
    chat.model.then("Paid.")
    again = await retried(chat, failed)
    assert (again.generation.tool_choice, chat.model.calls[-1].prompt.generation.tool_choice) == (None, None)


async def test_by_the_users_message_it_goes_on_as_well():
    chat, pay = paying()
    chat.model.then(*calling("pay"), ASKS)
    chat.model.then(DOWN)
    failed = await chat.ended(await chat.start("Pay!"))
    chat.model.then("Paid.")
    asked = AnswerAgain(failed.thread_id, failed.user_message_id, chat.runs.allot(), only_newest=True)
    again = await chat.ended(await chat.runs.answer_again(ALICE, asked))
    assert (again.text, len(pay.made)) == ("Paid.", 1)


async def approved(chat: Chat) -> tuple[Run, AnswerCalls]:
    chat.model.then(*calling("pay"), ASKS)
    asking = await chat.ended(await chat.start("Pay!"))
    decision = AnswerCalls(asking.thread_id, (CallDecision("c1", approve=True),))
    return await chat.runs.answer_calls(ALICE, decision), decision


async def test_what_was_approved_and_made_stays_so_with_the_decision():
    chat, pay = paying(needs_approval=True)
    run, decision = await approved(chat)
    chat.model.then(DOWN)
    failed = await chat.ended(run)
    assert failed.status is RunStatus.FAILED
    assert (await chat.runs.answer_calls(ALICE, decision)).id == failed.id
    chat.model.then("Paid.")
    again = await retried(chat, failed)
    assert (again.text, len(pay.made)) == ("Paid.", 1)
    assert told(chat) == [("user", "Pay!"), ("assistant", ""), ("tool", "paid 10 EUR")]
    assert (await chat.runs.answer_calls(ALICE, decision)).id == again.id, "the same said again"


async def test_what_was_approved_and_perhaps_made_is_not_made_again():
    chat, pay = paying(needs_approval=True)
    pay.waits = Pause()
    run, _ = await approved(chat)
    await pay.waits.reached()
    await chat.runs.cancel(ALICE, run.id)
    stopped = await chat.ended(run)
    chat.model.then("Who knows.")
    again = await retried(chat, stopped)
    assert (again.status, len(pay.made)) == (RunStatus.COMPLETED, 1)
    assert told(chat)[-1][1].startswith("It is not known")


@pytest.mark.parametrize("text", ["", "Hm. "])
async def test_what_waited_for_approval_in_a_step_that_did_not_end_is_not_made(text: str):
    send = Handled("send", about={"needs_approval": True})
    chat, pay = paying(send)
    pay.waits = Pause()
    chat.model.then(*filter(None, [text]), *calling("send", "s"), *calling("pay", "p"), ASKS)
    run = await chat.start("Pay!")
    await pay.waits.reached()
    await chat.runs.cancel(ALICE, run.id)
    stopped = await chat.ended(run)
    chat.model.then("Neither.")
    assert (await retried(chat, stopped)).status is RunStatus.COMPLETED
    assert (len(pay.made), len(send.made)) == (1, 0)
    assert next(content for role, content in told(chat) if role == "tool") == "This tool was not called."


async def test_who_takes_over_such_a_retry_makes_no_call_again_either():
    pay, held = Handled("pay", "paid 10 EUR", about={"needs_approval": True}), Pause()
    dead = worker(pay)
    run, _ = await approved(dead)
    dead.model.then("I have p", DOWN)
    failed = await dead.ended(run)
    dead.model.then(held)
    again = await dead.runs.retry(ALICE, RetryChat(failed.id))
    await held.reached()
    chat = worker(pay, beside=dead)
    chat.model.then("Paid.")
    await carried_on(chat)
    ended = await chat.ended(again)
    assert (ended.status, ended.epoch, ended.text, len(pay.made)) == (RunStatus.COMPLETED, 2, "Paid.", 1)
    assert told(chat) == [("user", "Pay!"), ("assistant", ""), ("tool", "paid 10 EUR")]


async def test_what_was_approved_and_perhaps_made_is_not_made_by_who_takes_over_its_retry():
    pay, held = Handled("pay", waits=Pause(), about={"needs_approval": True}), Pause()
    dead = worker(pay)
    run, _ = await approved(dead)
    assert pay.waits is not None
    await pay.waits.reached()
    await dead.runs.cancel(ALICE, run.id)
    stopped = await dead.ended(run)
    dead.model.then(held)
    again = await dead.runs.retry(ALICE, RetryChat(stopped.id))
    await held.reached()
    chat = worker(pay, beside=dead)
    chat.model.then("Who knows.")
    await carried_on(chat)
    assert ((await chat.ended(again)).text, len(pay.made)) == ("Who knows.", 1)
