"""What every store keeps to where a turn waits for somebody outside."""

import pytest

from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.call_answers import Answer, CallDecision, CallOutput
from chatorch.domain.model.calls import answered_in, call_head, open_calls
from chatorch.domain.model.content import START, Content
from chatorch.domain.model.conversation import MessageId, MessageStatus, Role, RunId, ThreadId
from chatorch.domain.model.errors import (
    IdempotencyKeyReused,
    InvalidField,
    NotFound,
    RunSuperseded,
    ThreadBusy,
    ToolCallsAnswered,
    ToolCallsOpen,
    TooManyRuns,
)
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.part_pieces import pieces
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import CancelReason, Run, RunStatus
from chatorch.domain.model.tools import CarriedOutBy
from chatorch.ports.calls import AnsweredCalls
from chatorch.ports.execution_store import Checkpoint
from chatorch.ports.runs import IdempotencyKey, OpenTurn
from tests.support.stores import ANN, BOB, NOW, Stores, ending, new_run, turn

THREAD = ThreadId("thr_t")
SERVER, CLIENT = CarriedOutBy.SERVER, CarriedOutBy.CLIENT


def call(ident: str, by: CarriedOutBy = CLIENT, *, needs_approval: bool = False) -> Part:
    head = call_head(ident, f"tool_{ident}", by, needs_approval=needs_approval)
    return Part(PartKind.TOOL_CALL, head, "{}", closed=True)


ASKED = Content((Part(PartKind.TEXT, body="Hm."), call("c1"), call("c2", SERVER, needs_approval=True)))
ANSWERS = (CallOutput("c1", "42"), CallDecision("c2", approve=True))


async def waiting(stores: Stores, content: Content = ASKED) -> None:
    await stores.runs.open_run(new_run("a"), turn("q", "t", "Hello", opens=True))
    assert await stores.execution_store.finish(ending("a", content))


def answered(*answers: Answer, called: str = "r", more: OpenTurn | None = None) -> AnsweredCalls:
    """`more` is what the user says behind them."""
    ids = tuple(MessageId(f"msg_{called}{place}") for place in range(len(answers)))
    return AnsweredCalls(THREAD, answers, ids, more.messages if more else ())


async def said(stores: Stores) -> list[tuple[Role, str]]:
    found = await stores.threads.list_messages(ANN, THREAD, PageRequest(100, descending=False))
    return [(message.role, message.parts[-1].body if message.parts else message.content) for message in found.items]


async def test_the_next_run_of_the_turn_has_what_was_said_to_its_calls(stores: Stores) -> None:
    await waiting(stores)
    assert (await stores.calls.asking_run(ANN, THREAD)).id == "run_a"
    opened = await stores.calls.answer_calls(new_run("b"), answered(*ANSWERS))
    assert not opened.joined
    assert (opened.run.user_message_id, opened.run.message_id) == ("msg_q_0", "msg_b_answer")
    assert [message.role for message in opened.history] == [Role.USER, Role.ASSISTANT, Role.TOOL]
    assert [part.head["id"] for part in open_calls(opened.history)] == ["c2"], "what was approved is to be made"
    assert opened.history[-1].parts[-1].body == "42"
    assert opened.history[-1].status is MessageStatus.COMPLETE
    assert await said(stores) == [(Role.USER, "Hello"), (Role.ASSISTANT, "{}"), (Role.TOOL, "42"), (Role.ASSISTANT, "")]
    assert await stores.execution_store.finish(ending("b", "Done"))
    retried = await stores.runs.reopen_run(new_run("c"), RunId("run_b"))
    assert [message.content for message in retried.history] == ["Hello"], "a retry is of the whole turn"


async def test_what_is_not_allowed_is_a_result_as_well(stores: Stores) -> None:
    await waiting(stores)
    no = CallDecision("c2", approve=False, reason="Too dear.")
    opened = await stores.calls.answer_calls(new_run("b"), answered(CallOutput("c1", "oops", is_error=True), no))
    assert open_calls(opened.history) == []
    results = [message.parts[-1] for message in opened.history if message.role is Role.TOOL]
    assert [(part.head["call_id"], part.head["status"]) for part in results] == [("c1", "failed"), ("c2", "denied")]
    assert results[1].body.endswith("Too dear.")


async def test_what_a_client_keeps_with_a_result_is_kept(stores: Stores) -> None:
    await waiting(stores)
    output = CallOutput("c1", "42", metadata={"name": "mine"})
    await stores.calls.answer_calls(new_run("b"), answered(output, CallDecision("c2", approve=False)))
    found = await stores.threads.list_messages(ANN, THREAD, PageRequest(100, descending=False))
    assert [message.metadata for message in found.items if message.role is Role.TOOL] == [{"name": "mine"}, {}]


async def test_a_turn_of_several_answers_is_answered_again_as_the_newest(stores: Stores) -> None:
    await waiting(stores)
    await stores.calls.answer_calls(new_run("b"), answered(*ANSWERS))
    assert await stores.execution_store.finish(ending("b", "Done"))
    again = await stores.runs.answer_again(new_run("c"), THREAD, MessageId("msg_q_0"), only_newest=True)
    assert [message.content for message in again.history] == ["Hello"]


async def test_the_same_again_is_the_same_run_and_something_else_is_a_conflict(stores: Stores) -> None:
    await waiting(stores)
    first = await stores.calls.answer_calls(new_run("b"), answered(*ANSWERS))
    for live in (True, False):
        again = await stores.calls.answer_calls(new_run("c"), answered(*ANSWERS))
        assert (again.run.id, again.joined) == (first.run.id, True)
        one = await stores.calls.answer_calls(new_run("c"), answered(ANSWERS[1]))
        assert (one.run.id, one.joined) == (first.run.id, True)
        for other in (CallOutput("c1", "43"), CallDecision("c2", approve=False), CallDecision("c1", approve=False)):
            with pytest.raises(ToolCallsAnswered):
                await stores.calls.answer_calls(new_run("c"), answered(other))
        if live:
            assert await stores.execution_store.finish(ending("b", "Done"))
    assert len(await said(stores)) == 4


async def test_what_the_user_says_behind_the_answers_is_answered_then(stores: Stores) -> None:
    await waiting(stores)
    no = CallDecision("c2", approve=False)
    more = turn("m", "t", "Good.", "And now?")
    with pytest.raises(ToolCallsOpen):
        await stores.calls.answer_calls(new_run("b"), answered(ANSWERS[0], more=more))
    with pytest.raises(TooManyRuns):
        await stores.calls.answer_calls(new_run("b"), answered(ANSWERS[0], no, more=more), LiveRunCap(0))
    assert len(await said(stores)) == 2, "all or nothing"
    opened = await stores.calls.answer_calls(new_run("b"), answered(ANSWERS[0], no, more=more))
    assert (opened.joined, opened.run.user_message_id) == (False, "msg_m_1")
    *_, answer, denied, first, last = opened.history
    assert [answer.parts[-1].head["status"], denied.parts[-1].head["status"]] == ["completed", "denied"]
    assert [(first.role, first.content), (last.role, last.content)] == [(Role.USER, "Good."), (Role.USER, "And now?")]
    assert open_calls(opened.history) == []
    assert await stores.execution_store.finish(ending("b", "Later."))
    assert [role for role, _ in await said(stores)] == [
        Role.USER, Role.ASSISTANT, Role.TOOL, Role.TOOL, Role.USER, Role.USER, Role.ASSISTANT
    ]  # fmt: skip
    again = await stores.runs.answer_again(new_run("c"), THREAD, MessageId("msg_m_1"), only_newest=True)
    assert [message.role for message in again.history][-4:] == [Role.TOOL, Role.TOOL, Role.USER, Role.USER]


async def test_with_a_message_behind_them_only_a_key_makes_the_same_answers_the_same_run(stores: Stores) -> None:
    await waiting(stores)
    no, key = CallDecision("c2", approve=False), IdempotencyKey("k", "same")
    both = answered(ANSWERS[0], no, more=turn("m", "t", "And now?"))
    first = await stores.calls.answer_calls(new_run("b", key=key), both)
    for live in (True, False):
        again = await stores.calls.answer_calls(new_run("c", key=key), both)
        assert (again.run.id, again.joined) == (first.run.id, True)
        with pytest.raises(ToolCallsAnswered):
            await stores.calls.answer_calls(new_run("c"), both)
        if live:
            assert await stores.execution_store.finish(ending("b", "Done"))
    assert len(await said(stores)) == 6


async def test_a_message_does_not_join_answers_that_were_given_without_it(stores: Stores) -> None:
    await waiting(stores)
    await stores.calls.answer_calls(new_run("b"), answered(*ANSWERS))
    assert await stores.execution_store.finish(ending("b", "Done"))
    with pytest.raises(ToolCallsAnswered):
        await stores.calls.answer_calls(new_run("c"), answered(*ANSWERS, more=turn("m", "t", "And now?")))


async def test_all_calls_are_answered_at_once_each_in_its_way(stores: Stores) -> None:
    await waiting(stores)
    for some, left in ((ANSWERS[0], "c2"), (ANSWERS[1], "c1")):
        with pytest.raises(ToolCallsOpen) as refusal:
            await stores.calls.answer_calls(new_run("b"), answered(some))
        assert refusal.value.call_ids == (left,)
    with pytest.raises(InvalidField) as wrong:
        await stores.calls.answer_calls(new_run("b"), answered(ANSWERS[0], CallOutput("c2", "I did it")))
    assert wrong.value.field == "outputs.1.call_id"
    with pytest.raises(InvalidField) as wrong:
        await stores.calls.answer_calls(new_run("b"), answered(CallDecision("c1", approve=True), ANSWERS[1]))
    assert wrong.value.field == "decisions.0.call_id"
    with pytest.raises(NotFound):
        await stores.calls.answer_calls(new_run("b"), answered(*ANSWERS, CallOutput("c9", "?")))
    assert len(await said(stores)) == 2


async def test_nobody_answers_for_somebody_else(stores: Stores) -> None:
    await waiting(stores)
    with pytest.raises(NotFound):
        await stores.calls.asking_run(BOB, THREAD)
    with pytest.raises(NotFound):
        await stores.calls.answer_calls(new_run("b", owner=BOB), answered(*ANSWERS))
    assert await stores.calls.said_since(BOB, MessageId("msg_q_0")) == []


async def test_what_was_said_instead_answers_them(stores: Stores) -> None:
    await waiting(stores)
    opened = await stores.runs.open_run(new_run("b"), turn("q2", "t", "Never mind"))
    assert open_calls(opened.history) == []
    for _ in range(2):
        with pytest.raises(ToolCallsAnswered):
            await stores.calls.answer_calls(new_run("c"), answered(*ANSWERS))
        await stores.execution_store.finish(ending("b", "Fine."))
    since = await stores.calls.said_since(ANN, MessageId("msg_a_answer"))
    assert [message.id for message in since] == ["msg_q2_0"]


async def test_calls_that_left_the_history_are_told_from_those_that_never_were(stores: Stores) -> None:
    await waiting(stores)
    await stores.runs.reopen_run(new_run("b"), RunId("run_a"))
    with pytest.raises(RunSuperseded):
        await stores.calls.answer_calls(new_run("c"), answered(*ANSWERS))
    await stores.execution_store.finish(ending("b", "Fine."))
    with pytest.raises(NotFound):
        await stores.calls.answer_calls(new_run("c"), answered(CallOutput("c9", "?")))


async def test_an_answer_that_comes_before_the_run_that_asks_has_ended_is_for_later(stores: Stores) -> None:
    opened = await stores.runs.open_run(new_run("a"), turn("q", "t", "Hello", opens=True))
    pieces_of_it = pieces(ASKED, START)
    saved = Checkpoint(opened.run.id, opened.run.epoch, ASKED.text, parts=pieces_of_it, tip=ASKED.tip)
    for is_stored in (False, True):
        if is_stored:
            await stores.execution_store.checkpoint([saved], NOW)
        for more in (None, turn("m", "t", "And?")):
            with pytest.raises(ThreadBusy) as busy:
                await stores.calls.answer_calls(new_run("b"), answered(*ANSWERS, more=more))
            assert busy.value.run_id == "run_a"
    assert await stores.execution_store.finish(ending("a", ASKED))
    assert not (await stores.calls.answer_calls(new_run("b"), answered(*ANSWERS))).joined


async def test_a_turn_that_did_not_end_well_waits_for_nothing(stores: Stores) -> None:
    await stores.runs.open_run(new_run("a"), turn("q", "t", "Hello", opens=True))
    end = ending("a", ASKED, status=RunStatus.CANCELLED, cancel_reason=CancelReason.USER)
    assert await stores.execution_store.finish(end)
    with pytest.raises(ToolCallsAnswered):
        await stores.calls.answer_calls(new_run("c"), answered(*ANSWERS))


async def test_a_live_run_a_full_cap_and_a_used_key(stores: Stores) -> None:
    await waiting(stores)
    await stores.runs.open_run(new_run("o"), turn("o", "other", "Hello", opens=True))
    with pytest.raises(TooManyRuns):
        await stores.calls.answer_calls(new_run("b"), answered(*ANSWERS), LiveRunCap(1))
    key = IdempotencyKey("k", "same")
    first = await stores.calls.answer_calls(new_run("b", key=key), answered(*ANSWERS))
    again = await stores.calls.answer_calls(new_run("c", key=key), answered(*ANSWERS))
    assert (again.run.id, again.joined) == (first.run.id, True)
    with pytest.raises(IdempotencyKeyReused):
        await stores.calls.answer_calls(new_run("c", key=IdempotencyKey("k", "other")), answered(*ANSWERS))
    with pytest.raises(ThreadBusy):
        await stores.runs.open_run(new_run("d"), turn("q3", "t", "And?"))


async def test_the_run_as_it_asked(stores: Stores) -> None:
    await waiting(stores)
    run: Run = (await stores.calls.answer_calls(new_run("b"), answered(*ANSWERS))).run
    assert (await stores.runs.read_run(ANN, run.id)).user_message_id == "msg_q_0"
    await stores.execution_store.finish(ending("b", Content((Part(PartKind.TEXT), call("c3")))))
    third = await stores.calls.answer_calls(new_run("c"), answered(CallOutput("c3", "7"), called="s"))
    roles = [message.role for message in third.history]
    assert roles == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT, Role.TOOL]


async def test_all_answers_of_a_step_of_many_calls_are_found(stores: Stores) -> None:
    calls = [call(f"c{place}") for place in range(150)]
    await waiting(stores, Content((Part(PartKind.TEXT), *calls)))
    outputs = [CallOutput(each.head["id"], "42") for each in calls]
    await stores.calls.answer_calls(new_run("b"), answered(*outputs))
    await stores.execution_store.finish(ending("b", "Done"))
    await stores.runs.open_run(new_run("c"), turn("q2", "t", "And?"))
    since = await stores.calls.said_since(ANN, MessageId("msg_a_answer"))
    assert len(answered_in(since)) == 150
    assert [message.role for message in since[-2:]] == [Role.ASSISTANT, Role.USER]


async def test_the_ids_of_all_calls_of_a_thread_but_one_runs_are_known(stores: Stores) -> None:
    await waiting(stores)
    assert await stores.calls.call_ids(THREAD, RunId("run_x")) == {"c1", "c2"}
    assert await stores.calls.call_ids(THREAD, RunId("run_a")) == set()
    assert await stores.calls.call_ids(ThreadId("thr_none"), RunId("run_x")) == set()
    await stores.runs.reopen_run(new_run("b"), RunId("run_a"))
    assert await stores.calls.call_ids(THREAD, RunId("run_b")) == {"c1", "c2"}, "they left the history"
