"""What every store keeps to where a run is taken over: it is the next epoch's, and nothing of it is lost."""

import asyncio
import random
from dataclasses import replace

import pytest

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import RunId, Usage, UsageSource
from chatorch.domain.model.identity import Scope
from chatorch.domain.model.part_pieces import pieces
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import (
    EPOCH_SPAN,
    LastContent,
    RunCompleted,
    RunStarted,
    RunStatus,
    base_of,
    end_seq,
    event_of,
    started_event,
)
from chatorch.domain.model.transcript import replay
from chatorch.ports.execution_store import Checkpoint, ClaimedRun, LiveRun, Ownership
from tests.support.parts import any_content, begin
from tests.support.stores import ANN, NOW, Stores, at, ending, new_run, turn

RUN = RunId("run_r")


async def live(stores: Stores) -> list[LiveRun]:
    return list(await stores.execution_store.live_runs())


async def taken(stores: Stores, last: LastContent | None = None) -> ClaimedRun:
    contents = {} if last is None else {RUN: last}
    [claimed] = await stores.execution_store.claim(await live(stores), at(60), contents, history_chars=100_000)
    return claimed


async def test_it_is_queued_under_the_next_epoch_with_all_that_was_said(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, Content.of("begin "), 4, 7)
    await executor.save(stores, Content.of("begin and more"))
    claimed = await taken(stores)
    run = await stores.runs.read_run(ANN, RUN)
    assert claimed.run == run
    assert (run.status, run.epoch, run.text, run.attempts) == (RunStatus.QUEUED, 2, "begin and more", 2)
    assert run.seq == Content.of("begin and more").tip  # still of the attempt before
    assert [message.content for message in claimed.history] == ["hello"]
    assert claimed.spent.source is UsageSource.ESTIMATED
    assert (claimed.spent.prompt_tokens, claimed.spent.completion_tokens) == (2, 4)
    assert await stores.leftovers() == 0


async def test_a_follower_of_before_stays_where_it_is_until_there_is_something_new(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, Content.of("Hello"))
    await taken(stores)
    assert list(replay(await stores.runs.read_run(ANN, RUN), Content.of("Hello").tip)) == []
    await stores.execution_store.checkpoint([Checkpoint(RUN, 2, "He")])
    run = await stores.runs.read_run(ANN, RUN)
    assert (run.status, run.text, run.seq) == (RunStatus.STREAMING, "He", EPOCH_SPAN + Content.of("He").tip)
    [snapshot] = replay(run, Content.of("Hello").tip)
    assert (snapshot.seq, snapshot.text) == (run.seq, "He")


async def test_who_executed_it_before_writes_no_more(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, Content.of("Hello"))
    await taken(stores)
    assert await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "zombie")]) == {RUN: Ownership.LOST}
    assert not await stores.execution_store.finish(ending("r", "zombie"))
    assert (await stores.runs.read_run(ANN, RUN)).text == "Hello"
    assert await stores.execution_store.checkpoint([Checkpoint(RUN, 2, None)], at(70)) == {RUN: Ownership.MINE}


async def test_two_who_claim_it_at_once_are_one(stores: Stores) -> None:
    await begin(stores)
    seen = await live(stores)
    claims = [stores.execution_store.claim(seen, at(60), history_chars=1000) for _ in range(2)]
    claimed = await asyncio.gather(*claims)
    assert sorted(map(len, claimed)) == [0, 1]
    assert (await stores.runs.read_run(ANN, RUN)).epoch == 2


async def test_one_that_gave_a_sign_of_life_or_has_ended_is_left_alone(stores: Stores) -> None:
    await begin(stores)
    seen = await live(stores)
    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, None)])
    assert await stores.execution_store.claim(seen, at(60), history_chars=1000) == []
    seen = await live(stores)
    await stores.execution_store.finish(ending("r"))
    assert await stores.execution_store.claim(seen, at(60), history_chars=1000) == []
    assert await stores.execution_store.claim([], at(60), history_chars=1000) == []


async def test_when_it_gave_its_last_sign_is_told(stores: Stores) -> None:
    await begin(stores)
    [seen] = await live(stores)
    assert (seen.beat_at, seen.created_at, seen.owner_id, seen.cancel_requested) == (None, NOW, ANN, False)
    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "text")], at(5))
    assert (await live(stores))[0].beat_at == at(5)
    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, None)], at(6))
    assert (await live(stores))[0].beat_at == at(6)
    await stores.runs.request_cancel(ANN, RUN)
    assert (await live(stores))[0].cancel_requested
    assert (await taken(stores)).cancel_requested
    assert (await live(stores))[0].beat_at == at(60)


async def test_a_cancel_that_was_asked_for_after_it_was_seen_is_known_to_who_takes_it_over(stores: Stores) -> None:
    await begin(stores)
    seen = await live(stores)
    await stores.runs.request_cancel(ANN, RUN)
    [claimed] = await stores.execution_store.claim(seen, at(60), history_chars=1000)
    assert claimed.cancel_requested
    assert claimed.run.status is RunStatus.QUEUED


async def test_the_record_has_all_attempts_and_what_they_used(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, Content.of("Hello"))
    once = (await taken(stores)).spent
    await stores.execution_store.checkpoint([Checkpoint(RUN, 2, "Hello again")])
    twice = (await taken(stores)).spent
    assert twice.prompt_tokens == 2 * once.prompt_tokens
    assert twice.completion_tokens == once.completion_tokens + 3
    assert await stores.execution_store.finish(ending("r", "the end", epoch=3, finish_reason="stop", usage=twice))
    [record] = await stores.interactions()
    assert (record.attempts, record.usage, record.status) == (3, twice, RunStatus.COMPLETED)
    run = await stores.runs.read_run(ANN, RUN)
    assert (run.text, run.seq) == ("the end", end_seq(3, Content.of("the end")))


CALL = Part(PartKind.TOOL_CALL, {"id": "c", "name": "n", "by": "server"}, "{}", closed=True)
RESULT = Part(PartKind.TOOL_RESULT, {"call_id": "c", "status": "completed"}, "sunny", closed=True)
ASKED = Content((Part(PartKind.TEXT, body="Hm."), CALL))
ANSWERED = Content((*ASKED.parts, RESULT, Part(PartKind.TEXT, body="So it is")))
USED = Usage(70, 30, 100, UsageSource.PROVIDER, cached_tokens=8, reasoning_tokens=4)


async def has_called(stores: Stores, epoch: int = 1) -> None:
    """A tool: the step that asks for it is over, and has used that much with all before it."""
    saved = Checkpoint(RUN, epoch, "Hm.", 0, pieces(ASKED), ASKED.tip, ASKED.tip, USED)
    await stores.execution_store.checkpoint([saved])


async def has_gone_on(stores: Stores, epoch: int = 1) -> None:
    more = Checkpoint(RUN, epoch, "So it is", len("Hm."), pieces(ANSWERED, ASKED.tip), ANSWERED.tip)
    await stores.execution_store.checkpoint([more])


async def test_what_steps_that_are_over_used_is_known_and_of_the_one_after_it_is_estimated(stores: Stores) -> None:
    await begin(stores)
    await has_called(stores)
    assert (await taken(stores)).spent == USED  # its result is not there, so no model was asked on
    await has_called(stores, 2)
    await has_gone_on(stores, 2)
    spent = (await taken(stores)).spent
    assert (spent.source, spent.completion_tokens - USED.completion_tokens) == (UsageSource.ESTIMATED, 2)
    assert spent.prompt_tokens - USED.prompt_tokens == 6  # of the question, what it had said to that, and the result
    assert (spent.cached_tokens, spent.reasoning_tokens) == (8, 4)
    silent = (await taken(stores)).spent
    assert (silent.prompt_tokens - spent.prompt_tokens, silent.completion_tokens) == (6, spent.completion_tokens)


@pytest.mark.parametrize(("going_on", "more"), [(False, 0), (True, 2)])
async def test_what_steps_used_is_kept_where_nobody_takes_it_over(stores: Stores, going_on: bool, more: int) -> None:
    await begin(stores)
    await has_called(stores)
    if going_on:
        await has_gone_on(stores)
    assert await stores.execution_store.interrupt(await live(stores), at(90)) == [RUN]
    [record] = await stores.interactions()
    assert record.usage is not None
    assert record.usage.completion_tokens == USED.completion_tokens + more


async def test_one_that_is_given_up_after_takeovers_keeps_what_was_said_last(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, Content.of("Hello"))
    await taken(stores)
    spent = (await taken(stores)).spent  # neither attempt has said a word
    assert await stores.execution_store.interrupt(await live(stores), at(90)) == [RUN]
    run = await stores.runs.read_run(ANN, RUN)
    assert (run.status, run.text, run.epoch, run.attempts) == (RunStatus.INTERRUPTED, "Hello", 4, 3)
    *_, end = replay(run, 0)
    assert end.seq == run.seq == base_of(4) + Content.of("Hello").tip + 1
    assert [type(event).__name__ for event in replay(run, 3)] == ["Snapshot", "RunInterrupted"]
    [record] = await stores.interactions()
    assert (record.attempts, record.usage) == (3, spent)


async def test_the_last_attempt_is_counted_where_its_worker_died_as_well(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, Content.of("Hello"))
    await taken(stores)
    twice = (await taken(stores)).spent
    await stores.execution_store.checkpoint([Checkpoint(RUN, 3, "and so on, and")])
    known = {RUN: LastContent(3, Content.of("and so on, and so on"))}
    assert await stores.execution_store.interrupt(await live(stores), at(90), known) == [RUN]
    [record] = await stores.interactions()
    assert record.usage == twice + Usage(2, 5, 7, UsageSource.ESTIMATED)
    outcome = (await stores.runs.read_run(ANN, RUN)).outcome
    assert outcome is not None
    assert outcome.usage == record.usage


async def test_of_one_that_nobody_took_over_nothing_is_counted(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, Content.of("Hello"))
    assert await stores.execution_store.interrupt(await live(stores), at(90)) == [RUN]
    [record] = await stores.interactions()
    assert (record.attempts, record.usage) == (1, None)


async def test_the_freshest_content_that_is_known_is_kept(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, Content.of("Hel"))
    claimed = await taken(stores, LastContent(1, Content.of("Hello")))
    assert claimed.run.text == "Hello"
    assert (await stores.runs.read_run(ANN, RUN)).seq == Content.of("Hello").tip
    assert (await taken(stores, LastContent(1, Content.of("H")))).run.text == "Hello"


@pytest.mark.parametrize("carried_on", [True, False])
async def test_what_an_earlier_attempt_had_told_is_not_taken_for_what_a_later_one_said(
    stores: Stores, carried_on: bool
) -> None:
    """However long it is; who has seen the later one's words would read on in the midst of the other's."""
    executor = await begin(stores)
    await executor.save(stores, Content.of("Hello there"))
    await taken(stores)
    await stores.execution_store.checkpoint([Checkpoint(RUN, 2, "Hi")])
    seen_by_a_follower = (await stores.runs.read_run(ANN, RUN)).seq
    told = LastContent(1, Content.of("Hello there, and much more"))
    if carried_on:
        await taken(stores, told)
    else:
        await stores.execution_store.interrupt(await live(stores), at(90), {RUN: told})
    run = await stores.runs.read_run(ANN, RUN)
    assert run.text == "Hi"
    ends = [] if carried_on else ["RunInterrupted"]
    assert [type(event).__name__ for event in replay(run, seen_by_a_follower)] == ends


@pytest.mark.parametrize("carried_on", [True, False])
async def test_what_a_later_attempt_told_and_nobody_saved_is_not_lost_for_what_was_said_before(
    stores: Stores, carried_on: bool
) -> None:
    executor = await begin(stores)
    await executor.save(stores, Content.of("Hello there, and much more"))
    await taken(stores)
    told = LastContent(2, Content.of("Hi"))
    if carried_on:
        await taken(stores, told)
    else:
        assert await stores.execution_store.interrupt(await live(stores), at(90), {RUN: told}) == [RUN]
    run = await stores.runs.read_run(ANN, RUN)
    assert run.text == "Hi"
    ends = [] if carried_on else ["RunInterrupted"]
    assert [type(event).__name__ for event in replay(run, base_of(2) + told.content.tip)] == ends
    assert await stores.leftovers() == 0


async def test_of_parts_that_were_said_before_none_is_left_once_it_speaks_again(stores: Stores) -> None:
    chance = random.Random(13)
    for number in range(25):
        name = f"p{number}"
        executor = await begin(stores, name, name)
        run_id = RunId(f"run_{name}")
        before, after = any_content(chance), any_content(chance)
        await executor.save(stores, before)
        seen = [run for run in await live(stores) if run.run_id == run_id]
        [claimed] = await stores.execution_store.claim(seen, at(60), history_chars=1000)
        assert claimed.run.content == before
        again = type(executor)(name)
        told = replace(again.checkpoint(after), epoch=2)
        assert await stores.execution_store.checkpoint([told]) == {run_id: Ownership.MINE}
        run = await stores.runs.read_run(ANN, run_id)
        assert run.content == (after if told.news else before)
        end = ending(name, after, epoch=2, finish_reason="stop", usage=claimed.spent)
        assert await stores.execution_store.finish(end)
        run = await stores.runs.read_run(ANN, run_id)
        assert run.content == after
        events = list(replay(run, 0))
        assert events[0] == started_event(run)
        assert isinstance(events[0], RunStarted)
        assert isinstance(events[-1], RunCompleted)
        assert events[-1] == event_of(end.outcome, end.seq, run.message_id)


@pytest.mark.parametrize("scopes", [{Scope.CHAT}, {Scope.CHAT, Scope.ADMIN}, {Scope.ADMIN}, set()])
async def test_what_its_credential_allowed_is_known(stores: Stores, scopes: set[Scope]) -> None:
    await stores.runs.open_run(replace(new_run("r"), scopes=frozenset(scopes)), turn("m", "t", opens=True))
    assert (await taken(stores)).run.scopes == scopes


async def test_one_in_the_background_is_known_to_be(stores: Stores) -> None:
    await stores.runs.open_run(replace(new_run("r"), background=True), turn("m", "t", opens=True))
    assert (await taken(stores)).run.background
    await stores.runs.open_run(new_run("s"), turn("n", "s", opens=True))
    assert not (await stores.runs.read_run(ANN, RunId("run_s"))).background


async def test_its_history_is_what_it_was_asked_with(stores: Stores) -> None:
    await stores.runs.open_run(new_run("a"), turn("a", "t", "first", opens=True))
    await stores.execution_store.finish(ending("a", "an answer"))
    opened = await stores.runs.open_run(new_run("r"), turn("b", "t", "second"))
    claimed = await taken(stores)
    assert claimed.history == opened.history
    assert [message.content for message in claimed.history] == ["first", "an answer", "second"]


async def test_one_that_was_not_answered_again_is_counted_with_what_it_was_asked_alone(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, Content.of("Hello"))
    once = (await taken(stores)).spent
    twice = (await taken(stores)).spent
    assert twice.prompt_tokens == 2 * once.prompt_tokens
    assert twice.completion_tokens == once.completion_tokens, "what the first said was counted with the first"
    told = (await taken(stores, LastContent(3, Content.of("Hello and more")))).spent
    assert told.completion_tokens == once.completion_tokens + 4, "it did say something, if not to the store"
