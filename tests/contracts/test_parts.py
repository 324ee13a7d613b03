"""What every store keeps of messages of parts: at any moment all that was saved, and in the end all that was said."""

import random
from dataclasses import replace
from itertools import product

from chatorch.domain.model.content import START, Content
from chatorch.domain.model.conversation import Message, MessageStatus, RunId, ThreadId, Usage, UsageSource
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import EPOCH_SPAN, LastContent, Outcome, RunStatus
from chatorch.ports.execution_store import Checkpoint, Ownership
from chatorch.ports.runs import IdempotencyKey
from tests.support.parts import ANSWER, SOURCE, THOUGHT, Executor, any_content, begin
from tests.support.sizes import size
from tests.support.stores import ANN, Stores, at, ending, new_run, turn

RUN, THREAD = RunId("run_r"), ThreadId("thr_t")


async def shown(stores: Stores, name: str = "r", thread: str = "t") -> Content:
    """What the run has said, which is the same everywhere where it can be read."""
    run = await stores.runs.read_run(ANN, RunId(f"run_{name}"))
    thread_id = ThreadId(f"thr_{thread}")
    assert await stores.threads.live_run(ANN, thread_id) in (None, run)
    page = await stores.threads.list_messages(ANN, thread_id, PageRequest())
    items = await stores.thread_items.list_items(ANN, thread_id, limit=10)
    item = await stores.thread_items.read_item(ANN, thread_id, run.message_id)
    for message in (page.items[-1], items.items[-1].message, item.message):
        assert isinstance(message, Message)
        assert (message.id, message.content, message.whole) == (run.message_id, run.text, run.content)
        assert (message.parts == ()) is run.content.text_only
    assert [message.parts for message in page.items[:-1]] == [()] * (len(page.items) - 1)
    if run.status.live and run.seq > START:
        assert run.seq == run.content.tip
    return run.content


# -- checkpoints -----------------------------------------------------------------------------------------------------


async def test_at_every_cut_all_that_was_saved_is_read_and_no_more(stores: Stores) -> None:
    """Many runs in one batch, each at a cut of its own; now and then the answer to a batch is not heard."""
    chance = random.Random(11)
    runs = [(await begin(stores, f"n{number}", f"n{number}"), any_content(chance)) for number in range(size(12, 60))]
    for round_ in range(size(4, 12)):
        batch: list[tuple[Executor, Content, Content]] = []
        for executor, content in runs:
            so_far = content.upto(chance.randint(executor.tip, content.tip))
            batch.append((executor, so_far, content))
        wholes = {executor.name for executor, _ in runs if chance.random() < 0.2}
        for attempt in range(2):
            told = [executor.checkpoint(so_far, whole=executor.name in wholes) for executor, so_far, _ in batch]
            await stores.execution_store.checkpoint(told)
            if attempt or chance.random() < 0.7:
                break
            batch = [(each, c.upto(chance.randint(so_far.tip, c.tip)), c) for each, so_far, c in batch]
        for number, (executor, so_far, _) in enumerate(batch):
            executor.heard(so_far)
            if (number + round_) % 3 == 0:
                assert await shown(stores, executor.name, executor.name) == so_far


async def test_all_cuts_of_one_answer(stores: Stores) -> None:
    executor = await begin(stores)
    for cut in range(START + 1, ANSWER.tip + 1):
        await executor.save(stores, ANSWER, cut)
        run = await stores.runs.read_run(ANN, RUN)
        assert (run.content, run.seq, run.status) == (ANSWER.upto(cut), cut, RunStatus.STREAMING)
    assert await shown(stores) == ANSWER


async def test_an_attempt_that_was_not_heard_of_comes_again_with_more(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, ANSWER, 9)
    for unheard in (14, 14, 20, 30):
        await stores.execution_store.checkpoint([executor.checkpoint(ANSWER.upto(unheard))])
        assert await shown(stores) == ANSWER.upto(unheard)
    await executor.save(stores, ANSWER, ANSWER.tip)
    assert await shown(stores) == ANSWER


async def test_parts_of_another_epoch_or_of_an_ended_run_are_not_kept(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, ANSWER, 12)
    zombie = replace(executor.checkpoint(ANSWER), epoch=2)
    assert await stores.execution_store.checkpoint([zombie]) == {RUN: Ownership.LOST}
    assert await shown(stores) == ANSWER.upto(12)

    assert await stores.execution_store.finish(ending("r", ANSWER.upto(14)))
    assert await stores.execution_store.checkpoint([executor.checkpoint(ANSWER)]) == {RUN: Ownership.LOST}
    assert await shown(stores) == ANSWER.upto(14)


async def test_a_batch_holds_parts_texts_and_bare_heartbeats(stores: Stores) -> None:
    executors = {name: await begin(stores, name, name) for name in ("parts", "text", "bare", "tail")}
    await executors["tail"].save(stores, Content.of("begin "))
    said = {"parts": ANSWER, "text": Content.of("only text"), "tail": Content.of("begin and more")}
    told = [executors[name].checkpoint(content) for name, content in said.items()]

    await stores.execution_store.checkpoint([*told, Checkpoint(RunId("run_bare"), 1, None, tip=99)])

    assert {name: await shown(stores, name, name) for name in said} == said
    assert (await stores.runs.read_run(ANN, RunId("run_bare"))).status is RunStatus.QUEUED
    assert {run.heartbeat for run in await stores.execution_store.live_runs()} == {1, 2}
    assert await stores.part_rows() == len(ANSWER.parts) - 1


# -- ends ------------------------------------------------------------------------------------------------------------


async def test_an_end_has_the_parts_that_it_says_one_row_each(stores: Stores) -> None:
    """However far it was saved before; and told twice, where the first answer was lost."""
    statuses = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
    for number, (status, cuts) in enumerate(product(statuses, [(), (7,), (5, 9, 14, 23, 30)]), 1):
        name = f"n{number}"
        executor = await begin(stores, name, name)
        if cuts:
            await executor.save(stores, ANSWER, *cuts)
        for _ in range(2):
            assert await stores.execution_store.finish(ending(name, ANSWER, status=status))
        assert await shown(stores, name, name) == ANSWER
        assert (await stores.runs.read_run(ANN, RunId(f"run_{name}"))).seq == ANSWER.tip + 1
        assert (await stores.part_rows(), await stores.leftovers()) == (number * (len(ANSWER.parts) - 1), 0)


async def test_an_end_of_text_only_leaves_no_part_whatever_was_saved(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, ANSWER, 9, 14)

    assert await stores.execution_store.finish(ending("r", "Well, no"))

    assert await shown(stores) == Content.of("Well, no")
    assert (await stores.part_rows(), await stores.leftovers()) == (0, 0)


async def test_what_is_nothing_but_text_has_no_row(stores: Stores) -> None:
    executor = await begin(stores)
    content = Content.of("one two three")
    await executor.save(stores, content, 4, 9)
    await stores.execution_store.finish(ending("r", content))
    await begin(stores, "gone", "gone")
    await stores.execution_store.interrupt(
        await stores.execution_store.live_runs(), at(9), {RunId("run_gone"): LastContent(1, content)}
    )
    assert await shown(stores) == content
    assert await stores.part_rows() == 0


async def test_heads_and_results_come_back_as_they_were(stores: Stores) -> None:
    odd = {"": [[], {}, "", 0, -1.5e300, 2**70, True, None], "日\u0301🙂": {'"\\/\x01\u2028': "null"}, "null": "{}"}
    parts = [Part(kind, odd, '{"a": [1]}' * 3, odd, closed=True) for kind in PartKind]
    content = Content((Part(PartKind.TEXT), *parts))
    executor = await begin(stores)
    await executor.save(stores, content)
    assert await shown(stores) == content
    await stores.execution_store.finish(ending("r", content))
    assert await shown(stores) == content


async def test_a_long_body_that_grows_is_one_in_the_end(stores: Stores) -> None:
    long = Content((Part(PartKind.TEXT), Part(PartKind.REASONING, {}, "".join(f"{n} 🙂\n" for n in range(4000)))))
    executor = await begin(stores)
    await executor.save(stores, long, *range(500, long.tip, 2000), long.tip)
    assert await shown(stores) == long
    assert await stores.execution_store.finish(ending("r", long))
    assert (await shown(stores), await stores.part_rows()) == (long, 1)


async def test_usage_tells_cached_and_reasoning_tokens(stores: Stores) -> None:
    usage = Usage(30, 40, 70, UsageSource.PROVIDER, cached_tokens=12, reasoning_tokens=33)
    await begin(stores)
    await stores.execution_store.finish(ending("r", ANSWER, finish_reason="stop", usage=usage))
    run = await stores.runs.read_run(ANN, RUN)
    assert run.outcome == Outcome(RunStatus.COMPLETED, "stop", usage)
    assert [interaction.usage for interaction in await stores.interactions()] == [usage]


# -- interrupted -----------------------------------------------------------------------------------------------------


async def test_interrupted_runs_keep_what_goes_further(stores: Stores) -> None:
    """Many at once, in all combinations of what was saved and what is known."""
    kept: dict[str, Content] = {}
    known: dict[RunId, LastContent] = {}
    combinations = product([START, 4, 9, 14, 25, 33], [None, START, 6, 14, 26, 33, ANSWER.tip])
    for number, (saved, told) in enumerate(combinations):
        name = f"n{number}"
        executor = await begin(stores, name, name)
        if saved > START:
            await executor.save(stores, ANSWER, *sorted({min(5, saved), min(11, saved), saved}))
        if told is not None:
            known[RunId(f"run_{name}")] = LastContent(1, ANSWER.upto(told))
        kept[name] = ANSWER.upto(max(saved, told or 0))

    ended = await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90), known)

    assert sorted(ended) == sorted(f"run_{name}" for name in kept)
    assert await stores.leftovers() == 0
    for name, content in kept.items():
        assert await shown(stores, name, name) == content
        run = await stores.runs.read_run(ANN, RunId(f"run_{name}"))
        assert (run.status, run.epoch, run.seq) == (RunStatus.INTERRUPTED, 2, EPOCH_SPAN + content.tip + 1)
        page = await stores.threads.list_messages(ANN, run.thread_id, PageRequest())
        assert page.items[-1].status is MessageStatus.INCOMPLETE


async def test_what_goes_further_replaces_all_even_a_longer_text(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, Content.of("begin and more"), 6, 9, 15)
    other = Content((Part(PartKind.TEXT, {}, "begin"), THOUGHT, SOURCE))
    await stores.execution_store.interrupt(
        await stores.execution_store.live_runs(), at(90), {RUN: LastContent(1, other)}
    )
    assert await shown(stores) == other

    executor = await begin(stores, "s", "s")
    await executor.save(stores, ANSWER, 9, 14)
    longer = Content.of("Well, something else altogether")
    seen = await stores.execution_store.live_runs()
    await stores.execution_store.interrupt(seen, at(90), {RunId("run_s"): LastContent(1, longer)})
    assert await shown(stores, "s", "s") == longer
    assert (await stores.part_rows(), await stores.leftovers()) == (2, 0)


# -- what goes with a message ------------------------------------------------------------------------------------------


async def test_a_thread_that_is_deleted_takes_its_parts_with_it(stores: Stores) -> None:
    executor = await begin(stores)
    await executor.save(stores, ANSWER, 9, 14)
    await begin(stores, "other", "other")
    await stores.execution_store.finish(ending("other", ANSWER))

    await stores.threads.delete_thread(ANN, THREAD, at(1))

    assert await stores.part_rows() == len(ANSWER.parts) - 1
    assert await stores.execution_store.checkpoint([executor.checkpoint(ANSWER)]) == {RUN: Ownership.LOST}
    await stores.threads.delete_thread(ANN, ThreadId("thr_other"), at(1))
    assert await stores.part_rows() == 0


async def test_what_guests_left_takes_its_parts_with_it(stores: Stores) -> None:
    guest = UserId("gst_0001")
    await stores.runs.open_run(new_run("r", owner=guest), turn("m_r", "t", opens=True))
    await stores.execution_store.finish(ending("r", ANSWER))
    assert await stores.part_rows() == len(ANSWER.parts) - 1
    assert await stores.guest_threads.forget(at(3600), 10) == 1
    assert await stores.part_rows() == 0


async def test_a_retry_and_a_next_turn_leave_the_parts_of_what_was_said(stores: Stores) -> None:
    await begin(stores)
    await stores.execution_store.finish(ending("r", ANSWER))
    opened = await stores.runs.open_run(new_run("next"), turn("next", "t", "go on"))
    assert [message.content for message in opened.history] == ["hello", ANSWER.text, "go on"]
    page = await stores.threads.list_messages(ANN, THREAD, PageRequest())
    assert [message.whole for message in page.items] == [
        Content.of("hello"), ANSWER, Content.of("go on"), Content.of(""),
    ]  # fmt: skip
    await stores.execution_store.finish(ending("next", ANSWER))

    await stores.runs.reopen_run(new_run("again"), RUN)

    assert await shown(stores, "again") == Content()
    assert (await stores.runs.read_run(ANN, RUN)).content == ANSWER, "the old runs stay readable"


async def test_who_joins_by_a_key_and_who_cancels_have_all_of_it(stores: Stores) -> None:
    key = IdempotencyKey("a key", "digest")
    await stores.runs.open_run(new_run("r", key=key), turn("m_r", "t", opens=True))
    await Executor().save(stores, ANSWER, 9, 21)
    joined = await stores.runs.open_run(new_run("s", key=key), turn("s", "s", opens=True))
    asked = await stores.runs.request_cancel(ANN, RUN)
    assert (joined.joined, joined.run.content, asked.content) == (True, ANSWER.upto(21), ANSWER.upto(21))


async def test_an_operator_sees_sizes_and_no_part(stores: Stores) -> None:
    await (await begin(stores)).save(stores, ANSWER)
    life = await stores.run_lives.read(RUN)
    assert life.row is not None
    assert (life.row.answer_chars, life.row.run.content, life.row.run.seq) == (
        len(ANSWER.text), Content(), ANSWER.tip,
    )  # fmt: skip
