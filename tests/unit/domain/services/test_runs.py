"""A run from its start to its end, as its user sees it."""

import asyncio
from dataclasses import replace

import pytest

from chatorch.domain.model.content import Content, PartDelta, Snapshot
from chatorch.domain.model.conversation import MessageStatus, NewMessage, Role, RunId, UsageSource
from chatorch.domain.model.errors import (
    Draining,
    GuestThread,
    IdempotencyKeyReused,
    InvalidField,
    ModelNotAllowed,
    NotFound,
    RoleNotAllowed,
    RunUnsettled,
    StoreUnavailable,
    ThreadBusy,
    TooManyRuns,
    UserMismatch,
)
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.policy import ChatPolicy
from chatorch.domain.model.run import (
    EPOCH_SPAN,
    CancelReason,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunInterrupted,
    RunStarted,
    RunStatus,
)
from chatorch.domain.model.upstream_errors import UpstreamRateLimited
from chatorch.domain.services import RetryChat, StartChat
from chatorch.ports.chat_model import Finish
from tests.support.app import ALICE, BOB, GUEST, Chat, following, text_of
from tests.support.fakes import PROVIDER_USAGE, Pause, ScriptedChatModel, StubbornChatModel, settle


async def messages_of(chat: Chat, run) -> list:
    page = await chat.conversations.messages(ALICE, run.thread_id, PageRequest(limit=100))
    return [(message.role, message.content, message.status) for message in page.items]


async def test_a_message_is_answered_and_stored():
    chat = Chat(ScriptedChatModel("Hello", " you"))

    run = await chat.start("Hi")
    events = await chat.heard(run)

    assert events[0] == RunStarted(1, run.thread_id, run.message_id, "a-model")
    assert text_of(events) == "Hello you"
    assert events[-1] == RunCompleted(11, run.message_id, "stop", PROVIDER_USAGE)
    assert await messages_of(chat, run) == [
        (Role.USER, "Hi", MessageStatus.COMPLETE),
        (Role.ASSISTANT, "Hello you", MessageStatus.COMPLETE),
    ]


async def test_the_terminal_event_is_told_only_after_the_end_is_stored():
    chat = Chat(ScriptedChatModel("Hello"))
    run = await chat.start()

    async with asyncio.timeout(5):
        async for event in chat.runs.events(run):
            if isinstance(event, RunCompleted):
                assert (await chat.store.runs.read_run(ALICE.user_id, run.id)).status is RunStatus.COMPLETED


async def test_a_thread_goes_on_with_its_history_under_the_operators_prompt():
    chat = Chat()
    first = await chat.start("One")
    await chat.heard(first)

    second = await chat.start("Two", thread_id=first.thread_id)
    await chat.heard(second)

    asked = (await chat.model.called(2)).prompt.messages
    assert [(m.role, m.content) for m in asked] == [
        (Role.SYSTEM, "Be brief."),
        (Role.USER, "One"),
        (Role.ASSISTANT, "Hello world"),
        (Role.USER, "Two"),
    ]


async def test_usage_is_estimated_where_the_provider_counts_nothing():
    chat = Chat(ScriptedChatModel("12345678", Finish("length", None)))

    run = await chat.ended(await chat.start())

    assert run.outcome is not None
    assert run.outcome.finish_reason == "length"
    assert run.outcome.usage is not None
    assert (run.outcome.usage.completion_tokens, run.outcome.usage.source) == (2, UsageSource.ESTIMATED)


async def test_a_provider_that_fails_midway_ends_the_run_with_what_there_is():
    chat = Chat(ScriptedChatModel("Hel", UpstreamRateLimited(retry_after=7)))
    run = await chat.start()

    events = await chat.heard(run)

    assert isinstance(events[-1], RunFailed)
    assert (events[-1].code, events[-1].retry_after) == ("upstream_rate_limited", 7)
    assert (await messages_of(chat, run))[-1] == (Role.ASSISTANT, "Hel", MessageStatus.INCOMPLETE)


async def test_a_fault_of_ours_ends_the_run_and_says_nothing_of_itself():
    chat = Chat(ScriptedChatModel("Hel", ZeroDivisionError("a secret")))

    events = await chat.heard(await chat.start())

    assert isinstance(events[-1], RunFailed)
    assert events[-1].code == "internal_error"
    assert "secret" not in events[-1].detail
    assert chat.telemetry.failures


async def test_cancel_reaches_the_model_and_all_followers():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hel", pause))
    run = await chat.start()
    async with following(chat, run) as one, following(chat, run, after=2) as two:
        await pause.reached()
        await chat.runs.cancel(ALICE, run.id)
        await chat.runs.cancel(ALICE, run.id)
        await (await chat.model.called()).until_closed()
        assert (await one)[-1] == (await two)[-1] == RunCancelled(5, CancelReason.USER)
    await chat.runs.cancel(ALICE, run.id)
    assert (await chat.runs.read(ALICE, run.id)).status is RunStatus.CANCELLED


async def test_a_cancel_asked_of_another_worker_arrives_with_the_next_checkpoint():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hel", pause))
    elsewhere = Chat(store=chat.store, clock=chat.clock)
    run = await chat.start()
    await pause.reached()

    await elsewhere.runs.cancel(ALICE, run.id)
    await chat.executor.checkpoint()

    assert (await chat.heard(run))[-1] == RunCancelled(5, CancelReason.USER)


async def test_leaving_is_not_stopping_until_the_grace_is_over():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hel", pause), grace_s=30)
    run = await chat.start()
    keeping = asyncio.ensure_future(chat.executor.keep_grace())
    async with following(chat, run):
        await pause.reached()
        await chat.clock.advance(100)
        assert not (await chat.model.called()).closed
    await settle()
    await chat.clock.advance(29)
    assert not (await chat.model.called()).closed
    await chat.clock.advance(1.5)
    await (await chat.model.called()).until_closed()
    assert (await chat.ended(run)).outcome.cancel_reason is CancelReason.DETACHED
    keeping.cancel()


async def test_what_goes_on_in_the_background_needs_nobody():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hel", pause, "lo"), grace_s=30)
    run = await chat.start(background=True)
    keeping = asyncio.ensure_future(chat.executor.keep_grace())
    await pause.reached()
    await chat.clock.advance(100)
    async with following(chat, run):
        pass
    await settle()
    await chat.clock.advance(100)
    await chat.executor.stop_unfollowed(run.id)
    pause.go_on()
    assert (await chat.ended(run)).text == "Hello"
    keeping.cancel()


async def test_a_guests_run_ends_with_its_guest_though_it_asks_for_the_background():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hel", pause, "lo"))
    run = await chat.start(who=GUEST, background=True)
    async with following(chat, run):
        await pause.reached()
    await settle()
    assert (await chat.runs.read(GUEST, run.id)).status is RunStatus.CANCELLED


async def test_instructions_are_told_once_and_again_with_a_retry():
    chat = Chat(ScriptedChatModel("Hello"))
    run = await chat.ended(await chat.start(generation=Generation(instructions="In verse.")))
    assert (await chat.model.called()).prompt.messages[0].content == "Be brief.\n\nIn verse."
    again = await chat.runs.retry(ALICE, RetryChat(run.id))
    assert (await chat.ended(again)).generation.instructions == "In verse."
    chat = Chat(ScriptedChatModel("Hello"), policy=ChatPolicy("toy", client_system=False))
    with pytest.raises(RoleNotAllowed):
        await chat.start(generation=Generation(instructions="In verse."))


async def test_coming_back_within_the_grace_keeps_the_run():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hel", pause, "lo"), grace_s=30)
    run = await chat.start()
    keeping = asyncio.ensure_future(chat.executor.keep_grace())
    async with following(chat, run):
        await pause.reached()
    await settle()
    await chat.clock.advance(20)
    async with following(chat, run, after=3) as back:
        await chat.clock.advance(60)
        pause.go_on()
        assert text_of(await back) == "llo"
    keeping.cancel()


async def test_a_guest_who_leaves_stops_the_run_at_once():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hel", pause))
    run = await chat.start(who=GUEST, user_label="somebody")
    async with following(chat, run):
        await pause.reached()
    await (await chat.model.called()).until_closed()
    await settle()
    assert [ending.outcome.cancel_reason for ending in chat.telemetry.endings] == [CancelReason.DETACHED]


async def test_a_guests_run_ends_with_its_guest_however_long_the_grace_and_a_users_does_not_however_short():
    for who, grace_s, ends in ((GUEST, 30, True), (ALICE, 0, False)):
        pause = Pause()
        chat = Chat(ScriptedChatModel("Hel", pause, "lo"), grace_s=grace_s)
        run = await chat.start(who=who)
        async with following(chat, run):
            await pause.reached()
        await settle()
        assert (await chat.model.called()).closed is ends
        pause.go_on()
        await settle()
        assert [ending.outcome.status for ending in chat.telemetry.endings] == ["cancelled" if ends else "completed"]


async def test_a_run_that_nobody_ever_followed_is_not_kept_for_ever():
    chat = Chat(ScriptedChatModel("Hel", Pause()), grace_s=1)
    await chat.start()
    keeping = asyncio.ensure_future(chat.executor.keep_grace())

    await chat.clock.advance(5.5)

    await (await chat.model.called()).until_closed()
    await settle()
    assert [ending.outcome.cancel_reason for ending in chat.telemetry.endings] == [CancelReason.DETACHED]
    keeping.cancel()


async def test_the_same_idempotency_key_joins_the_same_run():
    chat = Chat()
    first = await chat.start("Hi", idempotency_key="k")
    await chat.heard(first)

    again = await chat.start("Hi", idempotency_key="k")

    assert again.id == first.id
    assert text_of(await chat.heard(again)) == "Hello world"
    assert len(chat.model.calls) == 1
    with pytest.raises(IdempotencyKeyReused):
        await chat.start("Something else", idempotency_key="k")


async def test_a_busy_thread_names_its_live_run():
    chat = Chat(ScriptedChatModel("Hel", Pause()))
    run = await chat.start()

    with pytest.raises(ThreadBusy) as busy:
        await chat.start("More", thread_id=run.thread_id)

    assert busy.value.run_id == run.id


async def test_live_runs_are_capped_a_user():
    chat = Chat(ScriptedChatModel("Hel", Pause()), max_live_runs=2)
    await chat.start()
    await chat.start()

    with pytest.raises(TooManyRuns):
        await chat.start()
    await chat.start(who=BOB)


async def test_what_may_not_be_asked_is_refused_before_anything_is_stored():
    chat = Chat()
    thread = (await chat.start()).thread_id

    with pytest.raises(UserMismatch):
        await chat.start(user_label="bob")
    with pytest.raises(GuestThread):
        await chat.start(who=GUEST, thread_id=thread)
    with pytest.raises(ModelNotAllowed):
        await chat.start(model="another")
    with pytest.raises(InvalidField, match=r"messages\.0\.content"):
        await chat.start("x" * 2001)
    with pytest.raises(NotFound):
        await chat.start(who=BOB, thread_id=thread)
    assert len(chat.model.calls) == 1


async def test_a_foreign_run_is_not_found():
    chat = Chat()
    run = await chat.start()

    for attempt in (
        chat.runs.read(BOB, run.id),
        chat.runs.cancel(BOB, run.id),
        chat.runs.retry(BOB, RetryChat(run.id)),
        chat.runs.read(ALICE, RunId("run_unknown")),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_a_retry_answers_the_same_message_and_the_old_answer_leaves_the_history():
    chat = Chat(ScriptedChatModel())
    chat.model.then("Bad")
    chat.model.then("Good")
    first = await chat.start("Hi")
    await chat.heard(first)

    second = await chat.runs.retry(ALICE, RetryChat(first.id))
    await chat.heard(second)

    assert second.user_message_id == first.user_message_id
    assert [content for _, content, _ in await messages_of(chat, second)] == ["Hi", "Good"]
    assert [m.content for m in (await chat.model.called(2)).prompt.messages] == ["Be brief.", "Hi"]


async def test_reading_a_live_run_shows_its_text_so_far():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hel", pause))
    run = await chat.start()
    await pause.reached()

    now = await chat.runs.read(ALICE, run.id)

    assert (now.status, now.text, now.seq) == (RunStatus.STREAMING, "Hel", 4)
    assert (await messages_of(chat, run))[-1] == (Role.ASSISTANT, "Hel", MessageStatus.STREAMING)


async def test_a_run_long_ended_is_replayed_from_the_store_at_any_position():
    chat = Chat(ScriptedChatModel("Hel", "lo"))
    run = await chat.ended(await chat.start())

    assert text_of(await chat.heard(run)) == "Hello"
    assert await chat.heard(run, after=3) == [PartDelta(6, "llo"), *(await chat.heard(run))[-1:]]
    assert await chat.heard(run, after=7) == []


async def test_the_store_being_away_at_the_end_delays_the_end_and_loses_nothing():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hello", pause))
    run = await chat.start()
    async with following(chat, run) as follower:
        await pause.reached()
        chat.store.available = False
        pause.go_on()
        await chat.clock.until_asleep()
        assert not follower.done()
        chat.store.available = True
        await chat.clock.advance(3)
        assert isinstance((await follower)[-1], RunCompleted)
    assert (await chat.runs.read(ALICE, run.id)).text == "Hello"


async def test_a_json_caller_does_not_wait_for_ever_for_a_store_that_is_away():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hello", pause))
    run = await chat.start()
    waiting = asyncio.ensure_future(chat.runs.answer(run))
    await pause.reached()
    chat.store.available = False
    pause.go_on()
    await chat.clock.until_asleep()
    await chat.clock.advance(11)

    async with asyncio.timeout(5):
        with pytest.raises(RunUnsettled) as unsettled:
            await waiting
    assert unsettled.value.run_id == run.id
    chat.store.available = True
    await chat.clock.advance(5)
    assert (await chat.ended(run)).status is RunStatus.COMPLETED


async def test_nor_for_a_run_that_is_executed_nowhere_while_the_store_is_away():
    chat = Chat(ScriptedChatModel())
    opened = await chat.start()
    run = replace(await chat.ended(opened), id=RunId("run_elsewhere"), status=RunStatus.STREAMING)
    chat.store.available = False
    waiting = asyncio.ensure_future(chat.runs.answer(run))
    seconds = 0
    while not waiting.done():
        await chat.clock.until_asleep()
        await chat.clock.advance(1)
        seconds += 1
    assert isinstance(waiting.exception(), RunUnsettled)
    assert 10 <= seconds <= 12


async def test_nothing_starts_while_the_store_is_away():
    chat = Chat()
    chat.store.available = False

    with pytest.raises(StoreUnavailable):
        await chat.start()

    assert not chat.model.calls


async def test_a_caller_that_goes_away_while_its_run_is_opened_leaves_no_run_that_nobody_executes():
    chat = Chat(ScriptedChatModel("Hello"))
    starting = asyncio.ensure_future(chat.start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await settle()

    assert [interaction.status for interaction in chat.store.interactions()] == [RunStatus.COMPLETED]


async def test_drain_refuses_new_runs_lets_live_ones_finish_and_cancels_the_rest():
    quick, slow = Pause(), Pause()
    chat = Chat(ScriptedChatModel())
    chat.model.then("one", quick)
    chat.model.then("two", slow)
    finishing, staying = await chat.start(), await chat.start()
    async with following(chat, finishing) as one, following(chat, staying) as two:
        draining = asyncio.ensure_future(chat.executor.drain(0.1))
        await slow.reached()
        await settle()
        with pytest.raises(Draining):
            await chat.start()
        quick.go_on()
        assert isinstance((await one)[-1], RunCompleted)
        assert (await two)[-1] == RunCancelled(5, CancelReason.SHUTDOWN)
        await draining
    assert chat.executor.live == 0


async def test_drain_waits_for_a_run_that_is_being_stored():
    chat = Chat(ScriptedChatModel("Hello"))
    starting = asyncio.ensure_future(chat.start())
    await asyncio.sleep(0)  # it is under way, and nothing is live yet
    assert chat.executor.live == 0

    await chat.executor.drain(5)

    assert (await chat.ended(await starting)).status is RunStatus.COMPLETED


async def test_a_worker_that_was_declared_dead_publishes_nothing_and_its_followers_hear_the_row():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hello", pause))
    run = await chat.start()
    await pause.reached()
    await chat.executor.checkpoint()
    async with following(chat, run) as follower:
        await chat.lease_reaper.end_all()
        pause.go_on()
        events = await follower
    assert text_of(events) == "Hello"
    assert isinstance(events[-1], RunInterrupted)
    assert events[-1].seq > EPOCH_SPAN
    assert chat.telemetry.lost_runs
    assert len(chat.store.interactions()) == 1


async def test_a_lost_run_is_dropped_at_the_next_checkpoint():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hello", pause))
    run = await chat.start()
    await pause.reached()
    await chat.lease_reaper.end_all()

    await chat.executor.checkpoint()

    await (await chat.model.called()).until_closed()
    assert (await chat.ended(run)).status is RunStatus.INTERRUPTED


async def test_a_follower_ahead_of_what_a_dead_worker_had_saved_gets_a_snapshot_then_the_end():
    pause = Pause()
    dead = Chat(ScriptedChatModel("Hel", pause, "lo"))
    run = await dead.start()
    await pause.reached()
    await dead.executor.checkpoint()
    other = Chat(store=dead.store, clock=dead.clock)
    await other.lease_reaper.end_all()

    events = await other.heard(await other.runs.read(ALICE, run.id), after=6)

    assert events == [Snapshot(4, Content.of("Hel")), RunInterrupted(4 + 1 + EPOCH_SPAN)]


async def test_a_run_executed_elsewhere_is_followed_through_its_row():
    pause = Pause()
    executor = Chat(ScriptedChatModel("Hel", pause, "lo"))
    other = Chat(store=executor.store, clock=executor.clock)
    run = await executor.start()
    await pause.reached()
    await executor.executor.checkpoint()
    async with following(other, run) as follower:
        await other.clock.advance(1)
        pause.go_on()
        await executor.ended(run)
        await other.clock.advance(2)
        events = await follower
    assert text_of(events) == "Hello"
    assert isinstance(events[-1], RunCompleted)


async def test_deleting_a_thread_cancels_its_run_and_its_followers_hear_it():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hel", pause))
    run = await chat.start()
    async with following(chat, run) as follower:
        await pause.reached()
        await chat.conversations.delete(ALICE, run.thread_id)
        assert (await follower)[-1] == RunCancelled(5, CancelReason.USER)
    with pytest.raises(NotFound):
        await chat.runs.read(ALICE, run.id)
    with pytest.raises(NotFound):
        await chat.conversations.thread(ALICE, run.thread_id)
    assert [i.status for i in chat.store.interactions()] == [RunStatus.CANCELLED]


async def test_deleting_a_thread_whose_run_is_elsewhere_ends_its_followers_too():
    pause = Pause()
    executor = Chat(ScriptedChatModel("Hel", pause))
    other = Chat(store=executor.store, clock=executor.clock)
    run = await executor.start()
    async with following(executor, run) as follower:
        await pause.reached()
        await other.conversations.delete(ALICE, run.thread_id)
        await executor.clock.advance(1)
        await executor.executor.checkpoint()
        events = await follower
    assert isinstance(events[-1], RunCancelled)


async def test_a_failed_start_does_not_hold_the_thread():
    chat = Chat(policy=Chat().policy)

    with pytest.raises(InvalidField):
        await chat.runs.start(ALICE, StartChat((NewMessage(Role.USER, ""),)))

    assert chat.executor.live == 0


async def test_a_run_that_is_stopped_and_lost_at_once_is_given_up_quietly():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hel", pause))
    run = await chat.start()
    await pause.reached()
    await chat.lease_reaper.end_all()

    await chat.runs.cancel(ALICE, run.id)
    chat.executor.stop(run.id, CancelReason.DETACHED)
    await chat.executor.checkpoint()
    await chat.executor.checkpoint()

    assert (await chat.ended(run)).status is RunStatus.INTERRUPTED


async def test_an_answer_without_end_is_cut_off_and_fails_with_what_there_is():
    chat = Chat(ScriptedChatModel("12345", "67890", "more"), max_answer_chars=8)
    run = await chat.start()

    events = await chat.heard(run)

    assert text_of(events) == "12345678"
    assert isinstance(events[-1], RunFailed)
    assert events[-1].code == "upstream_invalid"
    assert (await chat.runs.read(ALICE, run.id)).text == "12345678"


async def test_a_retry_keeps_the_model_of_the_run_it_repeats_while_that_is_allowed():
    chat = Chat(policy=ChatPolicy("a-model", frozenset({"special"})))
    first = await chat.start(model="special")
    await chat.heard(first)

    assert (await chat.runs.retry(ALICE, RetryChat(first.id))).model == "special"
    narrower = Chat(store=chat.store)
    await chat.executor.drain(1)
    assert (await narrower.runs.retry(ALICE, RetryChat(first.id))).model == "a-model"


async def test_a_run_is_stopped_while_the_store_is_away_and_its_user_is_not_promised_that_it_stays_so():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hel", pause))
    run = await chat.start()
    async with following(chat, run) as follower:
        await pause.reached()
        chat.store.available = False
        for who in (ALICE, BOB, ALICE):
            with pytest.raises(StoreUnavailable):
                await chat.runs.cancel(who, run.id)
        await (await chat.model.called()).until_closed()
        chat.store.available = True
        await chat.runs.cancel(ALICE, run.id)
        await chat.clock.advance(5)
        assert (await follower)[-1] == RunCancelled(5, CancelReason.USER)
    assert [end.outcome.status for end in chat.telemetry.endings] == [RunStatus.CANCELLED]


async def test_what_its_user_stopped_is_cancelled_by_its_user_though_the_process_is_stopped_meanwhile():
    pause = Pause()
    chat = Chat(StubbornChatModel("Hel", pause))
    run = await chat.start()
    async with following(chat, run) as follower:
        await pause.reached()
        await chat.runs.cancel(ALICE, run.id)
        await settle()
        assert (await chat.runs.read(ALICE, run.id)).status.live
        await chat.spawner.aclose(wait_s=0.01, cancel_s=5)
        assert (await follower)[-1] == RunCancelled(5, CancelReason.USER)


async def test_tearing_down_repeats_the_end_that_was_decided():
    pause = Pause()
    chat = Chat(ScriptedChatModel("Hello", pause))
    run = await chat.start()
    async with following(chat, run) as follower:
        await pause.reached()
        chat.store.available = False
        pause.go_on()
        await chat.clock.until_asleep()
        chat.store.available = True
        await chat.spawner.aclose(wait_s=0.01, cancel_s=5)
        assert isinstance((await follower)[-1], RunCompleted)
    assert (await chat.runs.read(ALICE, run.id)).status is RunStatus.COMPLETED


async def test_a_second_drain_takes_no_time():
    chat = Chat(ScriptedChatModel("Hello", Pause()))
    await chat.start()
    await chat.executor.drain(0.05)

    async with asyncio.timeout(0.5):
        await chat.executor.drain(60)
