"""What every store keeps to where a turn in which calls were made is answered once more."""

from dataclasses import replace
from typing import Any

import pytest

from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.call_answers import CallDecision
from chatorch.domain.model.calls import call_head, result_part
from chatorch.domain.model.content import START, Content
from chatorch.domain.model.conversation import MessageId, MessageStatus, RunId, ThreadId
from chatorch.domain.model.errors import IdempotencyKeyReused, NewerMessages, NotFound, RunSuperseded, TooManyRuns
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.part_pieces import pieces
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import RunError, RunStatus
from chatorch.domain.model.tools import CallStatus, CarriedOutBy
from chatorch.ports.calls import AnsweredCalls
from chatorch.ports.execution_store import Checkpoint
from chatorch.ports.runs import IdempotencyKey
from tests.support.stores import ANN, BOB, NOW, Stores, ending, new_run, turn

THREAD = ThreadId("thr_t")
PAY = Part(PartKind.TOOL_CALL, call_head("p", "pay", CarriedOutBy.SERVER, needs_approval=False), "{}", closed=True)
ASKED = Content((Part(PartKind.TEXT, body="Hm."), PAY))
MADE = Content((*ASKED.parts, result_part("p", CallStatus.COMPLETED, "paid")))
SAID = Content((*MADE.parts, Part(PartKind.TEXT, body="I have p")))
ERROR = RunError("upstream_error", "It is down.", retryable=True)
DOWN: dict[str, Any] = {"status": RunStatus.FAILED, "error": ERROR}


async def keep(stores: Stores, name: str, content: Content) -> None:
    """As it is where its calls are made."""
    saved = Checkpoint(RunId(f"run_{name}"), 1, content.text, parts=pieces(content, START), tip=content.tip)
    kept = Checkpoint(saved.run_id, 1, None, tip=content.tip, kept=content.tip)
    await stores.execution_store.checkpoint([saved], NOW)
    await stores.execution_store.checkpoint([kept], NOW)


async def broken(stores: Stores) -> None:
    """A turn whose call was made, before its run failed in the midst of the next step."""
    await stores.runs.open_run(new_run("a"), turn("q", "t", "Pay!", opens=True))
    await keep(stores, "a", MADE)
    assert await stores.execution_store.finish(ending("a", SAID, **DOWN))


async def said(stores: Stores) -> list[str]:
    found = await stores.threads.list_messages(ANN, THREAD, PageRequest(100, descending=False))
    return [message.id for message in found.items]


@pytest.mark.parametrize("by_message", [False, True])
async def test_it_is_the_next_run_behind_what_was_done(stores: Stores, by_message: bool) -> None:
    await broken(stores)
    if by_message:
        opened = await stores.runs.answer_again(new_run("b"), THREAD, MessageId("msg_q_0"), only_newest=True)
    else:
        opened = await stores.runs.reopen_run(new_run("b"), RunId("run_a"))
    assert (opened.joined, opened.kept, opened.run.user_message_id) == (False, MADE.tip, "msg_q_0")
    assert [message.id for message in opened.history] == ["msg_q_0", "msg_a_answer"]
    assert opened.history[-1].whole == SAID
    assert await said(stores) == ["msg_q_0", "msg_a_answer", "msg_b_answer"]
    failed = await stores.runs.read_run(ANN, RunId("run_a"))
    assert (failed.status, failed.content) == (RunStatus.FAILED, SAID)
    assert await stores.execution_store.finish(ending("b", "Paid."))
    later = await stores.runs.open_run(new_run("c"), turn("r", "t", "Thanks"))
    assert [message.id for message in later.history] == ["msg_q_0", "msg_a_answer", "msg_b_answer", "msg_r_0"]


async def test_after_it_ended_well_only_who_names_the_failed_run_goes_on_from_there(stores: Stores) -> None:
    await broken(stores)
    await stores.runs.reopen_run(new_run("b"), RunId("run_a"))
    assert await stores.execution_store.finish(ending("b", "Paid."))
    again = await stores.runs.reopen_run(new_run("c"), RunId("run_a"))
    assert (again.kept, await said(stores)) == (MADE.tip, ["msg_q_0", "msg_a_answer", "msg_c_answer"])
    assert await stores.execution_store.finish(ending("c", "Paid, I said."))
    anew = await stores.runs.reopen_run(new_run("d"), RunId("run_c"))
    assert (anew.kept, [message.id for message in anew.history]) == (None, ["msg_q_0"])
    assert await said(stores) == ["msg_q_0", "msg_d_answer"]


async def test_what_failed_before_it_did_anything_else_goes_on_from_there_too(stores: Stores) -> None:
    await broken(stores)
    await stores.runs.reopen_run(new_run("b"), RunId("run_a"))
    assert await stores.execution_store.finish(ending("b", "We", **DOWN))
    opened = await stores.runs.reopen_run(new_run("c"), RunId("run_b"))
    assert (opened.kept, await said(stores)) == (0, ["msg_q_0", "msg_a_answer", "msg_b_answer", "msg_c_answer"])
    assert [message.id for message in opened.history] == ["msg_q_0", "msg_a_answer", "msg_b_answer"]


async def test_what_was_asked_for_and_never_begun_is_asked_anew(stores: Stores) -> None:
    await stores.runs.open_run(new_run("a"), turn("q", "t", "Pay!", opens=True))
    assert await stores.execution_store.finish(ending("a", ASKED, **DOWN))
    opened = await stores.runs.reopen_run(new_run("b"), RunId("run_a"))
    assert (opened.kept, await said(stores)) == (None, ["msg_q_0", "msg_b_answer"])


async def test_what_came_later_leaves_the_history(stores: Stores) -> None:
    await broken(stores)
    await stores.runs.open_run(new_run("n"), turn("n", "t", "Never mind"))
    await keep(stores, "n", MADE)
    assert await stores.execution_store.finish(ending("n", "Fine."))
    with pytest.raises(NewerMessages):
        await stores.runs.answer_again(new_run("b"), THREAD, MessageId("msg_q_0"), only_newest=True)
    opened = await stores.runs.answer_again(new_run("b"), THREAD, MessageId("msg_q_0"))
    assert (opened.kept, await said(stores)) == (MADE.tip, ["msg_q_0", "msg_a_answer", "msg_b_answer"])
    assert await stores.execution_store.finish(ending("b", "Paid."))
    with pytest.raises(RunSuperseded):
        await stores.runs.reopen_run(new_run("c"), RunId("run_n"))


async def test_a_call_that_was_approved_and_begun_stands_with_the_decision(stores: Stores) -> None:
    asks = Part(PartKind.TOOL_CALL, {**PAY.head, "needs_approval": True}, "{}", closed=True)
    await stores.runs.open_run(new_run("a"), turn("q", "t", "Pay!", opens=True))
    assert await stores.execution_store.finish(ending("a", Content((Part(PartKind.TEXT), asks))))
    yes = AnsweredCalls(THREAD, (CallDecision("p", approve=True),), (MessageId("msg_yes"),))
    await stores.calls.answer_calls(new_run("b"), yes)
    await keep(stores, "b", Content())
    assert await stores.execution_store.finish(ending("b", "", status=RunStatus.INTERRUPTED))
    assert (await stores.calls.answer_calls(new_run("x"), yes)).run.id == "run_b"
    opened = await stores.runs.reopen_run(new_run("c"), RunId("run_a"))
    assert [message.id for message in opened.history] == ["msg_q_0", "msg_a_answer", "msg_b_answer"]
    assert (await stores.calls.answer_calls(new_run("x"), yes)).run.id == "run_c", "the one that goes on from there"


async def test_all_or_nothing_once_a_key_and_nobody_elses(stores: Stores) -> None:
    await broken(stores)
    for owner, failed in ((BOB, "run_a"), (ANN, "run_x")):
        with pytest.raises(NotFound):
            await stores.runs.reopen_run(new_run("b", owner=owner), RunId(failed))
    with pytest.raises(TooManyRuns):
        await stores.runs.reopen_run(new_run("b"), RunId("run_a"), LiveRunCap(0))
    assert await said(stores) == ["msg_q_0", "msg_a_answer"]
    first = await stores.runs.reopen_run(new_run("b", key=IdempotencyKey("k", "same")), RunId("run_a"))
    again = await stores.runs.reopen_run(new_run("c", key=IdempotencyKey("k", "same")), RunId("run_a"))
    assert (again.run.id, again.joined, again.kept) == (first.run.id, True, None)
    with pytest.raises(IdempotencyKeyReused):
        await stores.runs.reopen_run(new_run("c", key=IdempotencyKey("k", "other")), RunId("run_a"))
    assert await said(stores) == ["msg_q_0", "msg_a_answer", "msg_b_answer"]


async def test_it_is_generated_as_the_next_run_of_a_turn_and_its_question_counts_again(stores: Stores) -> None:
    await stores.runs.open_run(new_run("a"), turn("q", "t", "Pay!", opens=True))
    await keep(stores, "a", Content((Part(PartKind.TEXT), *MADE.parts[1:])))
    refused = ending("a", Content((Part(PartKind.TEXT), *MADE.parts[1:])), refused=True, **DOWN)
    assert await stores.execution_store.finish(refused)
    forced = replace(new_run("b"), generation=Generation(tool_choice="required"))
    opened = await stores.runs.reopen_run(forced, RunId("run_a"))
    assert opened.run.generation == Generation() == (await stores.runs.read_run(ANN, opened.run.id)).generation
    assert opened.history[0].status is MessageStatus.COMPLETE
