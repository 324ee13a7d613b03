"""What becomes of a run whose worker dies, where another one may carry it on."""

import asyncio

import pytest

from chatorch.adapters.memory.execution_store import MemoryExecutionStore
from chatorch.domain.model.calls import results_in
from chatorch.domain.model.content import START, PartDelta, Snapshot
from chatorch.domain.model.conversation import UsageSource
from chatorch.domain.model.identity import User
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.run import (
    EPOCH_SPAN,
    CancelReason,
    Run,
    RunCancelled,
    RunCompleted,
    RunStatus,
    started_event,
)
from chatorch.domain.model.upstream_errors import UpstreamUnavailable
from chatorch.domain.services import TakeoverLimits
from tests.support.app import ALICE, GUEST, Chat, text_of
from tests.support.fakes import Pause, ScriptedChatModel, StubbornChatModel, settle
from tests.support.stores import NOW
from tests.support.turns import ASKS, Handled, calling, handled

SHE = User(ALICE.user_id, "alice", None, ALICE.scopes, False, NOW, NOW)
LIMITS = TakeoverLimits(within_s=300, at_once=20)


class Workers:
    """Processes over one store. Each dies without a word: it is not asked for anything any more."""

    def __init__(self, *said: object) -> None:
        self.dead = Chat(ScriptedChatModel(*said), takeover_limits=LIMITS)

    def another(self, *says: object, limits: TakeoverLimits = LIMITS, **more: object) -> Chat:
        model = ScriptedChatModel(*says)
        return Chat(model, store=self.dead.store, clock=self.dead.clock, takeover_limits=limits, **more)


async def carried_on(chat: Chat) -> None:
    """A lease and a look later."""
    for _ in range(7):
        await chat.lease_reaper.sweep()
        await chat.clock.advance(1)
    await chat.takeovers.take()
    await settle()


async def a_run(workers: Workers, **more: object) -> Run:
    run = await workers.dead.start(**more)
    await settle()
    await workers.dead.executor.checkpoint()
    return run


async def test_another_worker_asks_again_and_the_run_ends_whole():
    workers = Workers("Hel", Pause())
    run = await a_run(workers)
    other = workers.another("Hello", " world")
    await carried_on(other)
    ended = await other.ended(run)
    assert (ended.status, ended.text, ended.attempts) == (RunStatus.COMPLETED, "Hello world", 2)
    assert [taken.id for taken in other.telemetry.takeovers] == [run.id]
    assert other.telemetry.interruptions == []
    asked = other.model.calls[0].prompt
    first = workers.dead.model.calls[0].prompt
    assert (asked.model, asked.messages, asked.generation) == (first.model, first.messages, first.generation)
    assert asked.begun_s == 7  # what it may take in all counts from its first beginning
    assert other.telemetry.endings[0].duration_ms == 7000
    await workers.dead.executor.checkpoint()
    await settle()
    assert (len(workers.dead.telemetry.lost_runs), workers.dead.telemetry.endings) == (1, [])
    assert workers.dead.model.calls[0].closed


async def test_until_the_model_answers_again_what_was_said_stays():
    pause = Pause()
    workers = Workers("Hello wor", Pause())
    run = await a_run(workers)
    other = workers.another(pause, "Hel", Pause())
    await carried_on(other)
    await pause.reached()
    await other.executor.checkpoint()
    row = await other.runs.read(ALICE, run.id)
    assert (row.status, row.text, row.epoch) == (RunStatus.QUEUED, "Hello wor", 2)
    pause.go_on()
    await settle()
    await other.executor.checkpoint()
    row = await other.runs.read(ALICE, run.id)
    assert (row.status, row.text, row.epoch) == (RunStatus.STREAMING, "Hel", 2)


@pytest.mark.parametrize("seen", ["Hello wor", "Hello world, and more"])
async def test_a_follower_is_given_a_snapshot_and_reads_on(seen: str):
    """Also one that saw more than was stored."""
    workers = Workers(seen, Pause())
    run = await a_run(workers)
    [*_, last] = [event async for event in _first(workers.dead, run, 2)]
    other = workers.another("Hel", pause := Pause(), "lo")
    following = asyncio.ensure_future(other.heard(run, last.seq))
    await carried_on(other)
    await pause.reached()
    await other.clock.advance(2)
    pause.go_on()
    events = await following
    assert isinstance(events[0], Snapshot)
    text = ""
    for event in events:
        if isinstance(event, Snapshot):
            text = event.text
        elif isinstance(event, PartDelta):
            text += event.text
    assert (text, type(events[-1])) == ("Hello", RunCompleted)
    assert [event.seq for event in events] == sorted({event.seq for event in events})


async def _first(chat: Chat, run: Run, count: int, after: int = 0):
    async for event in chat.runs.events(run, after):
        yield event
        if not (count := count - 1):
            return


async def test_usage_counts_every_attempt_and_the_record_says_how_many():
    workers = Workers("Hello world", Pause())
    run = await a_run(workers)
    other = workers.another("Hello")
    await carried_on(other)
    ended = await other.ended(run)
    [record] = other.store.interactions()
    assert record.attempts == 2
    assert ended.outcome is not None
    assert record.usage == ended.outcome.usage
    assert record.usage is not None
    assert record.usage.source is UsageSource.ESTIMATED
    once = workers.another("Hello")
    alone = await once.ended(await once.start())
    assert alone.outcome is not None
    assert alone.outcome.usage is not None
    assert record.usage.completion_tokens == alone.outcome.usage.completion_tokens + 3
    assert record.usage.prompt_tokens > alone.outcome.usage.prompt_tokens


async def test_one_that_ends_every_worker_is_taken_over_twice_and_then_interrupted():
    workers = Workers("one", Pause())
    run = await a_run(workers)
    for words in ("two", "three"):
        other = workers.another(words, Pause())
        await carried_on(other)
        await other.executor.checkpoint()
        assert (await other.runs.read(ALICE, run.id)).text == words
    last = workers.another("four")
    await carried_on(last)
    ended = await last.runs.read(ALICE, run.id)
    assert (ended.status, ended.text, ended.attempts) == (RunStatus.INTERRUPTED, "three", 3)
    assert (last.telemetry.interruptions, last.model.calls) == ([1], [])
    [record] = last.store.interactions()
    assert (record.attempts, record.status) == (3, RunStatus.INTERRUPTED)


async def test_one_that_was_never_answered_again_keeps_what_was_said():
    workers = Workers("Hello", Pause())
    run = await a_run(workers)
    for _ in range(2):
        await carried_on(workers.another(Pause()))
    last = workers.another()
    await carried_on(last)
    ended = await last.runs.read(ALICE, run.id)
    assert (ended.status, ended.text) == (RunStatus.INTERRUPTED, "Hello")
    events = await last.heard(ended, 3)
    assert [type(event).__name__ for event in events] == ["Snapshot", "RunInterrupted"]


async def test_a_provider_that_fails_ends_it_and_leaves_what_was_said():
    workers = Workers("Hello", Pause())
    run = await a_run(workers)
    other = workers.another(UpstreamUnavailable())
    await carried_on(other)
    await settle()
    ended = await other.runs.read(ALICE, run.id)
    assert (ended.status, ended.text) == (RunStatus.FAILED, "Hello")


async def test_a_run_that_nobody_comes_back_for_is_detached_after_a_whole_grace():
    workers = Workers("Hello", Pause())
    run = await a_run(workers)
    other = workers.another("Hel", Pause(), grace_s=30.0)
    await carried_on(other)
    keeping = asyncio.ensure_future(other.executor.keep_grace())
    await other.clock.advance(29)
    assert (await other.runs.read(ALICE, run.id)).status.live
    await other.clock.advance(2)
    await settle()
    keeping.cancel()
    [event] = [event for event in await other.heard(run, 1) if isinstance(event, RunCancelled)]
    assert event.reason is CancelReason.DETACHED


async def test_one_in_the_background_needs_nobody_here_either():
    workers = Workers("Hello", Pause())
    run = await a_run(workers, background=True)
    other = workers.another("Hel", Pause())
    await carried_on(other)
    keeping = asyncio.ensure_future(other.executor.keep_grace())
    await other.clock.advance(100)
    keeping.cancel()
    assert (await other.runs.read(ALICE, run.id)).status.live


async def test_so_many_are_taken_over_at_once_the_oldest_first():
    workers = Workers("Hello", Pause())
    runs = []
    for number in range(5):
        runs.append(await a_run(workers, client_ref=f"c{number}"))
        await workers.dead.clock.advance(1)
    first = Pause()
    other = workers.another(first, "Hi", Pause(), limits=TakeoverLimits(300, at_once=2))
    await carried_on(other)
    assert [taken.id for taken in other.telemetry.takeovers] == [run.id for run in runs[:2]]
    assert all([(await other.runs.read(ALICE, run.id)).status.live for run in runs])
    keeping = asyncio.ensure_future(other.takeovers.keep_taking())
    first.go_on()
    async with asyncio.timeout(5):
        while len(other.telemetry.takeovers) < 5:
            await settle()
    keeping.cancel()
    assert [taken.id for taken in other.telemetry.takeovers] == [run.id for run in runs]


async def ended(chat: Chat, count: int) -> None:
    """So many, and each well."""
    async with asyncio.timeout(5):
        while len(chat.telemetry.endings) < count:
            await settle()
    assert {end.outcome.status for end in chat.telemetry.endings} == {RunStatus.COMPLETED}


async def test_one_has_its_place_until_the_model_answers_whatever_is_left_of_its_calls():
    """What a call says, made again or not, is no answer of the model's: else a provider were asked for all at once."""
    limits = TakeoverLimits(300, at_once=2)
    again = {"idempotent": True}
    slow, once = Handled("slow", waits=Pause(), about=again), Handled("once", waits=Pause())
    workers = Workers()
    workers.dead = Chat(tools=[handled(slow, once)], takeover_limits=limits)
    await workers.dead.store.users.add(SHE)
    for number in range(5):
        workers.dead.model.then(*calling("slow", "a"), *calling("once", "b"), ASKS)
        await a_run(workers, client_ref=f"c{number}")
    assert len(slow.made) == len(once.made) == 5
    quick = Handled("slow", about=again, progress=("half",))
    answers = Pause()
    other = workers.another(answers, "Done.", limits=limits, tools=[handled(quick, Handled("once"))])
    keeping = asyncio.ensure_future(other.takeovers.keep_taking())
    await carried_on(other)
    await settle()
    assert (len(other.telemetry.takeovers), len(other.model.calls), len(quick.made)) == (2, 2, 2)
    answers.go_on()
    await ended(other, 5)
    keeping.cancel()


async def test_one_that_has_to_wait_is_live_and_does_not_grow_too_old_by_that():
    limits = TakeoverLimits(10, at_once=1)
    workers = Workers("Hello", Pause())
    first = await a_run(workers)
    await workers.dead.clock.advance(1)
    second = await a_run(workers)
    answers = Pause()
    other = workers.another(answers, "Hi", limits=limits)
    keeping = asyncio.ensure_future(other.takeovers.keep_taking())
    for _ in range(20):
        await other.lease_reaper.sweep()
        await other.clock.advance(1)
    assert [taken.id for taken in other.telemetry.takeovers] == [first.id]
    assert (await other.runs.read(ALICE, second.id)).status.live
    answers.go_on()
    await ended(other, 2)
    keeping.cancel()


async def test_one_that_its_user_stops_is_cancelled_though_it_has_to_wait_and_nobody_is_asked_for_it():
    workers = Workers("Hello", Pause())
    first = await a_run(workers)
    await workers.dead.clock.advance(1)
    second = await a_run(workers)
    other = workers.another(Pause(), limits=TakeoverLimits(300, at_once=1))
    await carried_on(other)
    assert [taken.id for taken in other.telemetry.takeovers] == [first.id]
    await other.runs.cancel(ALICE, second.id)
    await other.lease_reaper.sweep()
    await other.takeovers.take()
    await settle()
    stopped = await other.runs.read(ALICE, second.id)
    assert (stopped.status, stopped.text) == (RunStatus.CANCELLED, "Hello")
    assert stopped.outcome is not None
    assert stopped.outcome.cancel_reason is CancelReason.USER
    assert (await other.runs.read(ALICE, first.id)).status.live
    assert [call.prompt.turn.run_id for call in other.model.calls] == [first.id]


async def stopped_by_its_user(chat: Chat, run: Run) -> None:
    """And nobody was asked for it."""
    stopped = await chat.ended(run)
    assert (stopped.status, stopped.text) == (RunStatus.CANCELLED, "Hello")
    assert stopped.outcome is not None
    assert stopped.outcome.cancel_reason is CancelReason.USER
    assert chat.model.calls == []


@pytest.mark.parametrize(("within_s", "away_s"), [(300, 0), (300, 1000), (0, 0)])
async def test_one_that_its_user_stopped_at_its_own_worker_is_only_ended_however_late(within_s: int, away_s: int):
    workers = Workers()
    workers.dead = Chat(StubbornChatModel("Hello", Pause()), takeover_limits=LIMITS)
    run = await a_run(workers)
    await workers.dead.runs.cancel(ALICE, run.id)
    await settle()
    assert (await workers.dead.runs.read(ALICE, run.id)).status.live
    await workers.dead.clock.advance(away_s)
    other = workers.another("Hello world", limits=TakeoverLimits(within_s))
    await carried_on(other)
    await stopped_by_its_user(other, run)


async def test_one_that_was_taken_over_twice_and_is_stopped_then_is_cancelled_by_a_fourth_worker():
    workers = Workers("Hello", Pause())
    run = await a_run(workers)
    for _ in range(2):
        other = workers.another(Pause())
        await carried_on(other)
    await other.store.runs.request_cancel(ALICE.user_id, run.id)
    last = workers.another("Hello world")
    await carried_on(last)
    await stopped_by_its_user(last, run)


async def test_one_that_its_user_stops_in_the_moment_before_it_is_taken_over_is_cancelled():
    workers = Workers("Hello", Pause())
    run = await a_run(workers)
    other = workers.another("Hello world")
    for _ in range(7):
        await other.lease_reaper.sweep()
        await other.clock.advance(1)
    await other.store.runs.request_cancel(ALICE.user_id, run.id)
    await other.takeovers.take()
    await settle()
    await stopped_by_its_user(other, run)


async def test_a_worker_that_was_asleep_passes_on_what_it_is_asked_to_stop():
    workers = Workers("Hello", Pause())
    run = await a_run(workers)
    other = workers.another("Hello", pause := Pause(), " world")
    await carried_on(other)
    await pause.reached()
    await workers.dead.runs.cancel(ALICE, run.id)
    await other.executor.checkpoint()
    ended = await other.ended(run)
    assert (ended.status, ended.text) == (RunStatus.CANCELLED, "Hello")


async def test_who_saw_the_first_words_of_an_attempt_whose_worker_died_at_once_is_shown_nothing_else_as_their_end():
    """They are saved with the first word, so nothing that was said before them is taken for what followed them."""
    workers = Workers("Hello there, and much more", Pause())
    run = await a_run(workers)
    second = workers.another("Hi", Pause())
    await carried_on(second)
    seen = [event async for event in _first(second, run, 1, 5)]
    assert [(type(event), event.text) for event in seen] == [(Snapshot, "Hi")]
    last = workers.another(limits=TakeoverLimits(within_s=0))
    await carried_on(last)
    stored = await last.runs.read(ALICE, run.id)
    rest = await last.heard(stored, seen[-1].seq)
    assert text_of([*seen, *rest]) == stored.text


class StrangeStore(MemoryExecutionStore):
    """One of its rows says what this release does not know."""

    strange: str

    async def claim(self, runs, *given, **more):
        if self.strange in {run.run_id for run in runs}:
            raise ValueError("no such kind of part")
        return await super().claim(runs, *given, **more)


async def test_one_that_cannot_be_read_ends_as_interrupted_and_the_others_go_on():
    workers = Workers("Hel", Pause())
    runs = []
    for _ in range(3):
        runs.append(await a_run(workers))
        await workers.dead.clock.advance(1)
    other = workers.another("Hello")
    other.takeovers._execution_store = store = StrangeStore(workers.dead.store.state)
    store.strange = runs[0].id
    await carried_on(other)
    assert await other.lease_reaper.sweep() == 1
    assert other.telemetry.failures == ["a takeover"]
    ends = [(await other.runs.read(ALICE, run.id)).status for run in runs]
    assert ends == [RunStatus.INTERRUPTED, RunStatus.COMPLETED, RunStatus.COMPLETED]


class SlowStore(MemoryExecutionStore):
    """Takes a while to say what was claimed."""

    claiming = Pause()

    async def claim(self, *given, **more):
        claimed = await super().claim(*given, **more)
        await self.claiming.hold()
        return claimed


async def test_a_process_that_is_to_stop_waits_for_what_it_is_about_to_carry_on():
    """Else it left a run that had been taken over, and nobody to carry it on."""
    workers = Workers("Hel", Pause())
    run = await a_run(workers)
    other = workers.another("Hello")
    other.takeovers._execution_store = store = SlowStore(workers.dead.store.state)
    for _ in range(7):
        await other.lease_reaper.sweep()
        await other.clock.advance(1)
    taking = asyncio.ensure_future(other.takeovers.take())
    await store.claiming.reached()
    draining = asyncio.ensure_future(other.executor.drain(5))
    await settle()
    assert not draining.done()
    store.claiming.go_on()
    await asyncio.gather(taking, draining)
    assert (await other.runs.read(ALICE, run.id)).status is RunStatus.COMPLETED


async def test_what_nobody_may_carry_on_is_interrupted_as_before():
    workers = Workers("Hello", Pause())
    await a_run(workers, who=GUEST)
    await a_run(workers)
    other = workers.another("Hi", limits=TakeoverLimits(within_s=0))
    await carried_on(other)
    assert (other.telemetry.interruptions, other.model.calls) == ([2], [])
    workers = Workers("Hello", Pause())
    await a_run(workers, who=GUEST)
    other = workers.another("Hi")
    await carried_on(other)
    assert (other.telemetry.interruptions, other.model.calls) == ([1], [])


async def test_a_process_that_is_alone_carries_on_what_it_finds_unless_that_is_too_old():
    workers = Workers("Hello", Pause())
    run = await a_run(workers)
    again = workers.another("Hello world")
    assert await again.lease_reaper.end_all() == 0
    await again.takeovers.take()
    await settle()
    assert (await again.ended(run)).text == "Hello world"
    old = await a_run(workers)
    await workers.dead.clock.advance(301)
    again = workers.another("Hello world")
    assert await again.lease_reaper.end_all() == 1
    assert (await again.runs.read(ALICE, old.id)).status is RunStatus.INTERRUPTED


async def test_an_answer_without_a_word_has_no_first_piece_and_stands_in_place_of_what_was_said():
    workers = Workers("Hello", Pause())
    run = await a_run(workers)
    other = workers.another()
    other.model.then()  # no word, and a good end
    await carried_on(other)
    ended = await other.ended(run)
    assert (ended.status, ended.text) == (RunStatus.COMPLETED, "")
    assert other.telemetry.endings[0].first_piece_ms is None


async def test_a_call_that_is_made_again_has_its_own_key_and_no_other_call_has_it():
    about = {"idempotent": True}
    quick, slow = Handled("quick", about=about), Handled("slow", waits=Pause(), about=about)
    workers = Workers()
    workers.dead = Chat(tools=[handled(quick, slow)], takeover_limits=LIMITS)
    workers.dead.model.then(*calling("quick", "a"), *calling("slow", "b"), ASKS)
    await workers.dead.store.users.add(SHE)
    run = await a_run(workers)
    await a_result_stored(workers.dead, run)
    slow.waits = None
    other = workers.another(tools=[handled(quick, slow)])
    other.model.then(*calling("quick", "c"), ASKS)
    other.model.then("Done.")
    await carried_on(other)
    assert (await other.ended(run)).text == "Done."
    assert [context.idempotency_key for _, context in slow.made] == [f"{run.id}:2"] * 2
    assert [context.idempotency_key for _, context in quick.made] == [f"{run.id}:1", f"{run.id}:3"]
    assert {context.principal.username for _, context in (*quick.made, *slow.made)} == {"alice"}


async def test_a_user_who_was_shut_out_meanwhile_has_no_tools():
    tool = Handled("quick")
    workers = Workers("Hel", Pause())
    await workers.dead.store.users.add(SHE)
    run = await a_run(workers)
    await workers.dead.store.users.set_disabled(SHE.id, True)
    other = workers.another("Hello", tools=[handled(tool)])
    await carried_on(other)
    assert (await other.ended(run)).text == "Hello"
    assert other.model.calls[0].prompt.tools == ()


async def a_result_stored(chat: Chat, run: Run) -> None:
    async with asyncio.timeout(5):
        while not results_in((await chat.store.runs.read_run(ALICE.user_id, run.id)).content.parts):
            await settle()


async def test_a_copy_of_what_the_dead_one_said_is_not_saved_as_what_the_next_one_says():
    workers = Workers("Hello there", Pause())
    run = await a_run(workers)
    pause = Pause()
    other = workers.another(pause, "Good morning")
    other.log.open(run.id, 1, started_event(run))  # somebody followed it here
    other.log.append(run.id, "Hello there")
    await carried_on(other)
    await other.executor.checkpoint()
    row = await other.store.runs.read_run(ALICE.user_id, run.id)
    assert (row.status, row.text, row.base) == (RunStatus.QUEUED, "Hello there", 0)
    pause.go_on()
    assert (await other.ended(run)).text == "Good morning"


async def test_what_is_shown_is_the_new_attempts_however_much_the_one_before_had_said():
    workers = Workers("Hello there, and much more", Pause())
    run = await a_run(workers)
    pause = Pause()
    other = workers.another("Good", pause, " morning")
    await carried_on(other)
    await pause.reached()
    shown = await other.runs.read(ALICE, run.id)
    assert (shown.status, shown.text, shown.seq) == (RunStatus.STREAMING, "Good", EPOCH_SPAN + START + 4)
    page = await other.conversations.messages(ALICE, run.thread_id, PageRequest(9, descending=False))
    assert page.items[-1].content == "Good"
    pause.go_on()
    await other.ended(run)
