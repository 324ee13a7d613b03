"""What every run store keeps to."""

import asyncio

import pytest

from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.content import START
from chatorch.domain.model.conversation import MessageStatus, RunId, ThreadId
from chatorch.domain.model.errors import (
    ChatorchError,
    IdempotencyKeyReused,
    NotFound,
    RunSuperseded,
    ThreadBusy,
    TooManyRuns,
)
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.run import RunStatus
from chatorch.ports.execution_store import Checkpoint
from chatorch.ports.runs import IdempotencyKey, NewRun, OpenTurn
from tests.support.stores import ANN, BOB, NOW, Stores, at, ending, new_run, turn

THREAD = ThreadId("thr_t")
KEY = IdempotencyKey("a key", "digest of the request")
HOUR = 3600


async def open_and_finish(stores: Stores, name: str, new: NewRun, opening: OpenTurn) -> None:
    await stores.runs.open_run(new, opening)
    assert await stores.execution_store.finish(ending(name))


async def contents(stores: Stores) -> list[str]:
    page = await stores.threads.list_messages(ANN, THREAD, PageRequest(100))
    return [message.content for message in page.items]


async def assert_nothing_written(stores: Stores, name: str) -> None:
    with pytest.raises(NotFound):
        await stores.runs.read_run(ANN, RunId(f"run_{name}"))


# -- opening ---------------------------------------------------------------------------------------------------------


async def test_opening_a_thread_writes_thread_messages_run_and_an_empty_answer(stores: Stores) -> None:
    opened = await stores.runs.open_run(new_run("r"), turn("m", "t", "one", "two", opens=True))

    run = opened.run
    assert not opened.joined
    assert (run.id, run.thread_id, run.owner_id) == ("run_r", THREAD, ANN)
    assert (run.user_message_id, run.message_id) == ("msg_m_1", "msg_r_answer")
    assert (run.status, run.epoch, run.seq, run.text) == (RunStatus.QUEUED, 1, START, "")
    assert (run.model, run.created_at, run.finished_at) == ("a-model", NOW, None)
    assert await stores.runs.read_run(ANN, run.id) == run
    page = await stores.threads.list_messages(ANN, THREAD, PageRequest())
    assert [message.content for message in page.items] == ["one", "two", ""]
    assert opened.history == page.items[:2]
    assert page.items[2].status is MessageStatus.STREAMING


async def test_the_next_turn_is_appended_and_sees_the_history_up_to_itself(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", "one", opens=True))

    opened = await stores.runs.open_run(new_run("r1", now=at(100)), turn("m1", "t", "two"))

    assert [message.content for message in opened.history] == ["one", "an answer", "two"]
    assert await contents(stores) == ["one", "an answer", "two", ""]
    assert (await stores.threads.read_thread(ANN, THREAD)).updated_at == at(100)
    positions = [message.position for message in opened.history]
    assert positions == sorted(set(positions))


@pytest.mark.parametrize(
    ("chars", "expected"),
    [
        (0, ["dddd"]),
        (4, ["dddd"]),
        (12, ["dddd"]),
        (13, ["an answer", "dddd"]),
        (14, ["an answer", "dddd"]),
        (15, ["an answer", "dddd"]),
        (16, ["ccc", "an answer", "dddd"]),
        (24, ["ccc", "an answer", "dddd"]),
        (1000, ["a", "an answer", "bb", "an answer", "ccc", "an answer", "dddd"]),
    ],
)
async def test_the_history_holds_at_least_all_that_fits_and_always_the_newest(
    stores: Stores, chars: int, expected: list[str]
) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", "a", opens=True))
    await open_and_finish(stores, "r1", new_run("r1"), turn("m1", "t", "bb"))
    await open_and_finish(stores, "r2", new_run("r2"), turn("m2", "t", "ccc"))

    opened = await stores.runs.open_run(new_run("r3", history_chars=chars), turn("m3", "t", "dddd"))

    assert [message.content for message in opened.history][-len(expected) :] == expected


async def test_history_counts_code_points_and_reaches_far_back(stores: Stores) -> None:
    said = ["🙂" * 10] * 300
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", *said, opens=True))

    opened = await stores.runs.open_run(new_run("r1", history_chars=2999 + len("an answer")), turn("m1", "t", "x"))

    assert [message.content for message in opened.history][-301:] == [*said[1:], "an answer", "x"]


async def test_an_interrupted_answer_is_part_of_the_history(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r0"), turn("m0", "t", "one", opens=True))
    await stores.execution_store.finish(ending("r0", "half an", status=RunStatus.CANCELLED))

    opened = await stores.runs.open_run(new_run("r1"), turn("m1", "t", "two"))

    assert [message.content for message in opened.history] == ["one", "half an", "two"]


@pytest.mark.parametrize("thread", ["unknown", "bobs", "\0", "\ud800"])
async def test_a_thread_that_is_not_the_owners_is_not_found_and_nothing_is_written(stores: Stores, thread: str) -> None:
    await open_and_finish(stores, "b", new_run("b", owner=BOB), turn("b", "bobs", opens=True))

    with pytest.raises(NotFound):
        await stores.runs.open_run(new_run("r", key=KEY), turn("m", thread))

    await assert_nothing_written(stores, "r")
    page = await stores.threads.list_messages(BOB, ThreadId("thr_bobs"), PageRequest())
    assert len(page.items) == 2


async def test_a_busy_thread_names_its_run_and_takes_nothing_in(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r0"), turn("m0", "t", "one", opens=True))

    with pytest.raises(ThreadBusy) as busy:
        await stores.runs.open_run(new_run("r1", now=at(9)), turn("m1", "t", "two"))

    assert busy.value.run_id == "run_r0"
    await assert_nothing_written(stores, "r1")
    assert await contents(stores) == ["one", ""]
    assert (await stores.threads.read_thread(ANN, THREAD)).updated_at == NOW


async def test_live_runs_are_capped_for_each_owner(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r0"), turn("m0", "0", opens=True), LiveRunCap(2))
    await stores.runs.open_run(new_run("r1"), turn("m1", "1", opens=True), LiveRunCap(2))

    with pytest.raises(TooManyRuns):
        await stores.runs.open_run(new_run("r2"), turn("m2", "2", opens=True), LiveRunCap(2))
    with pytest.raises(NotFound):
        await stores.threads.read_thread(ANN, ThreadId("thr_2"))

    await stores.runs.open_run(new_run("b", owner=BOB), turn("b", "b", opens=True), LiveRunCap(2))
    await stores.execution_store.finish(ending("r0"))
    await stores.runs.open_run(new_run("r3"), turn("m3", "3", opens=True), LiveRunCap(2))


# -- idempotency -----------------------------------------------------------------------------------------------------


async def test_the_same_key_joins_the_run_as_it_is_now(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r0", key=KEY), turn("m0", "t", "one", opens=True))
    await stores.execution_store.checkpoint([Checkpoint(RunId("run_r0"), 1, "so far")])

    joined = await stores.runs.open_run(new_run("r1", key=KEY, now=at(5)), turn("m1", "other", "one", opens=True))

    assert joined.joined
    assert joined.history == ()
    assert joined.run == await stores.runs.read_run(ANN, RunId("run_r0"))
    assert joined.run.text == "so far"
    with pytest.raises(NotFound):
        await stores.threads.read_thread(ANN, ThreadId("thr_other"))


async def test_a_key_joins_on_a_busy_thread_and_at_the_cap(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", opens=True))
    await stores.runs.open_run(new_run("r1", key=KEY), turn("m1", "t", "two"), LiveRunCap(1))

    joined = await stores.runs.open_run(new_run("r2", key=KEY), turn("m2", "t", "two"), LiveRunCap(1))

    assert (joined.joined, joined.run.id) == (True, "run_r1")
    assert await contents(stores) == ["hello", "an answer", "two", ""]


async def test_a_key_joins_a_run_that_ended_long_ago(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0", key=KEY), turn("m0", "t", opens=True))

    joined = await stores.runs.open_run(new_run("r1", key=KEY, now=at(24 * HOUR)), turn("m1", "u", opens=True))

    assert (joined.joined, joined.run.status, joined.run.text) == (True, RunStatus.COMPLETED, "an answer")


async def test_a_key_for_another_request_is_refused(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0", key=KEY), turn("m0", "t", opens=True))

    with pytest.raises(IdempotencyKeyReused):
        await stores.runs.open_run(new_run("r1", key=IdempotencyKey("a key", "other")), turn("m1", "t", "two"))

    await assert_nothing_written(stores, "r1")


async def test_a_key_older_than_a_day_counts_as_never_used(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0", key=KEY), turn("m0", "t", opens=True))
    later = at(24 * HOUR + 0.000001)
    other = IdempotencyKey("a key", "other")

    opened = await stores.runs.open_run(new_run("r1", key=other, now=later), turn("m1", "t", "two"))
    joined = await stores.runs.open_run(new_run("r2", key=other, now=later), turn("m2", "t", "two"))

    assert (opened.joined, opened.run.id) == (False, "run_r1")
    assert (joined.joined, joined.run.id) == (True, "run_r1")


async def test_the_oldest_keys_are_forgotten_and_no_more_than_are_asked_for(stores: Stores) -> None:
    for owner in (ANN, BOB):
        for number in range(3):
            name = f"{owner}{number}"
            key = IdempotencyKey(f"key {number}", "digest")
            new = new_run(name, owner=owner, key=key, now=at(number))
            await open_and_finish(stores, name, new, turn(name, name, opens=True))

    async def joined(owner: UserId) -> list[bool]:
        found = []
        for number in range(3):
            again = new_run(f"again {owner}{number}", owner=owner, key=IdempotencyKey(f"key {number}", "digest"))
            opened = await stores.runs.open_run(again, turn(f"a{owner}{number}", f"{owner}{number}"))
            found.append(opened.joined)
        return found

    assert await stores.runs.forget_keys(at(0), 100) == 0
    assert [await stores.runs.forget_keys(at(2), 3) for _ in range(3)] == [3, 1, 0]
    assert [await joined(ANN), await joined(BOB)] == [[False, False, True]] * 2


async def test_many_who_forget_at_once_forget_each_key_once(stores: Stores) -> None:
    for number in range(30):
        new = new_run(str(number), key=IdempotencyKey(f"key {number}", "digest"))
        await open_and_finish(stores, str(number), new, turn(str(number), str(number), opens=True))

    counts = await asyncio.gather(*(stores.runs.forget_keys(at(1), 10) for _ in range(6)))
    while more := await stores.runs.forget_keys(at(1), 10):
        counts.append(more)

    assert sum(counts) == 30


async def test_a_key_is_its_owners_own(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r0", key=KEY), turn("m0", "t", opens=True))

    opened = await stores.runs.open_run(new_run("b", owner=BOB, key=KEY), turn("b", "b", opens=True))

    assert (opened.joined, opened.run.id) == (False, "run_b")


async def test_a_refused_request_leaves_its_key_unused(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r0"), turn("m0", "t", opens=True))
    with pytest.raises(ThreadBusy):
        await stores.runs.open_run(new_run("r1", key=KEY), turn("m1", "t"))
    await stores.execution_store.finish(ending("r0"))

    opened = await stores.runs.open_run(new_run("r2", key=KEY), turn("m2", "t"))

    assert (opened.joined, opened.run.id) == (False, "run_r2")


async def test_a_deleted_thread_takes_its_keys_along(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0", key=KEY), turn("m0", "t", opens=True))
    await stores.threads.delete_thread(ANN, THREAD, at(100))

    opened = await stores.runs.open_run(new_run("r1", key=KEY), turn("m1", "u", opens=True))

    assert not opened.joined


async def test_the_refusals_come_in_their_order(stores: Stores) -> None:
    """Unknown thread, then key, then busy, then cap: each wins over those after it."""
    await stores.runs.open_run(new_run("r0", key=KEY), turn("m0", "t", opens=True))
    other = IdempotencyKey(KEY.key, "other")

    async def refusal(thread: str, key: IdempotencyKey | None) -> type[ChatorchError]:
        with pytest.raises(ChatorchError) as refused:
            await stores.runs.open_run(new_run("r1", key=key), turn("m1", thread, opens=thread == "new"), LiveRunCap(1))
        return refused.type

    assert await refusal("unknown", other) is NotFound
    assert await refusal("t", other) is IdempotencyKeyReused
    assert await refusal("new", other) is IdempotencyKeyReused
    assert await refusal("t", None) is ThreadBusy
    assert await refusal("new", None) is TooManyRuns


# -- retrying --------------------------------------------------------------------------------------------------------


async def test_a_retry_answers_the_same_message_and_supersedes_what_came_after(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", "one", opens=True))
    await open_and_finish(stores, "r1", new_run("r1"), turn("m1", "t", "two"))

    opened = await stores.runs.reopen_run(new_run("r2", now=at(100)), RunId("run_r0"))

    assert (opened.run.user_message_id, opened.run.message_id) == ("msg_m0_0", "msg_r2_answer")
    assert (opened.run.status, opened.run.thread_id, opened.run.epoch) == (RunStatus.QUEUED, THREAD, 1)
    assert [message.content for message in opened.history] == ["one"]
    assert await contents(stores) == ["one", ""]
    assert (await stores.threads.read_thread(ANN, THREAD)).updated_at == at(100)
    assert (await stores.runs.read_run(ANN, RunId("run_r1"))).text == "an answer", "the old runs stay readable"


async def test_a_turn_after_a_retry_sees_only_what_was_not_superseded(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", "one", opens=True))
    await stores.runs.reopen_run(new_run("r1"), RunId("run_r0"))
    await stores.execution_store.finish(ending("r1", "better"))

    opened = await stores.runs.open_run(new_run("r2"), turn("m2", "t", "two"))

    assert [message.content for message in opened.history] == ["one", "better", "two"]
    positions = [message.position for message in opened.history]
    assert positions == sorted(set(positions))


async def test_the_same_turn_can_be_retried_again_and_from_either_run(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", "one", opens=True))
    await stores.runs.reopen_run(new_run("r1"), RunId("run_r0"))
    await stores.execution_store.finish(ending("r1"))
    await stores.runs.reopen_run(new_run("r2"), RunId("run_r0"))
    await stores.execution_store.finish(ending("r2"))

    opened = await stores.runs.reopen_run(new_run("r3"), RunId("run_r1"))

    assert opened.run.user_message_id == "msg_m0_0"
    assert await contents(stores) == ["one", ""]


async def test_a_turn_that_left_the_history_cannot_be_retried(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", "one", opens=True))
    await open_and_finish(stores, "r1", new_run("r1"), turn("m1", "t", "two"))
    await stores.runs.reopen_run(new_run("r2"), RunId("run_r0"))
    await stores.execution_store.finish(ending("r2"))

    with pytest.raises(RunSuperseded):
        await stores.runs.reopen_run(new_run("r3"), RunId("run_r1"))

    await assert_nothing_written(stores, "r3")
    assert await contents(stores) == ["one", "an answer"]


async def test_a_retry_on_a_busy_thread_is_refused(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r0"), turn("m0", "t", "one", opens=True))

    with pytest.raises(ThreadBusy) as busy:
        await stores.runs.reopen_run(new_run("r1"), RunId("run_r0"))

    assert busy.value.run_id == "run_r0"
    assert await contents(stores) == ["one", ""]


async def test_a_retry_counts_against_the_cap(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", opens=True))
    await stores.runs.open_run(new_run("r1"), turn("m1", "u", opens=True))

    with pytest.raises(TooManyRuns):
        await stores.runs.reopen_run(new_run("r2"), RunId("run_r0"), LiveRunCap(1))


async def test_a_repeated_retry_joins_the_first(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", opens=True))
    await stores.runs.reopen_run(new_run("r1", key=KEY), RunId("run_r0"))

    joined = await stores.runs.reopen_run(new_run("r2", key=KEY), RunId("run_r0"))

    assert (joined.joined, joined.run.id, joined.history) == (True, "run_r1", ())


@pytest.mark.parametrize("run", ["run_unknown", "run_b", "run_\0", "run_\ud800"])
async def test_a_run_that_is_not_the_owners_cannot_be_read_cancelled_or_retried(stores: Stores, run: str) -> None:
    await stores.runs.open_run(new_run("b", owner=BOB), turn("b", "b", opens=True))

    with pytest.raises(NotFound):
        await stores.runs.read_run(ANN, RunId(run))
    with pytest.raises(NotFound):
        await stores.runs.request_cancel(ANN, RunId(run))
    with pytest.raises(NotFound):
        await stores.runs.reopen_run(new_run("r"), RunId(run))

    ownerships = await stores.execution_store.checkpoint([Checkpoint(RunId("run_b"), 1, None)])
    assert [ownership.value for ownership in ownerships.values()] == ["mine"]


# -- cancelling ------------------------------------------------------------------------------------------------------


async def test_a_cancel_request_returns_the_run_which_goes_on_living(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))

    asked = await stores.runs.request_cancel(ANN, RunId("run_r"))
    again = await stores.runs.request_cancel(ANN, RunId("run_r"))

    assert asked == again == await stores.runs.read_run(ANN, RunId("run_r"))
    assert asked.status is RunStatus.QUEUED


async def test_a_cancel_request_after_the_end_changes_nothing(stores: Stores) -> None:
    await open_and_finish(stores, "r", new_run("r"), turn("m", "t", opens=True))
    before = await stores.runs.read_run(ANN, RunId("run_r"))

    assert await stores.runs.request_cancel(ANN, RunId("run_r")) == before
    assert await stores.runs.read_run(ANN, RunId("run_r")) == before
