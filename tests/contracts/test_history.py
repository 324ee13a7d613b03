"""What of a thread every store hands to the model: no more than goes out, and no less than fits."""

from dataclasses import replace

import pytest

from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import MessageId, MessageStatus, NewMessage, Role, RunId, ThreadId
from chatorch.domain.model.errors import ThreadBusy, TooManyRuns
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import RunError, RunStatus
from chatorch.ports.execution_store import RunEnd
from chatorch.ports.runs import IdempotencyKey, NewRun, OpenTurn
from tests.support.stores import ANN, Stores, at, ending, new_run, turn

THREAD = ThreadId("thr_t")
KEY = IdempotencyKey("a key", "digest of the request")


async def open_and_finish(stores: Stores, name: str, new: NewRun, opening: OpenTurn) -> None:
    await stores.runs.open_run(new, opening)
    assert await stores.execution_store.finish(ending(name))


def system_then(name: str, thread: str, *contents: str) -> OpenTurn:
    """A thread that begins with two system messages; `contents` are the user's."""
    rules = tuple((MessageId(f"msg_{name}_s{i}"), NewMessage(Role.SYSTEM, f"rule {i}")) for i in range(2))
    said = turn(name, thread, *contents, opens=True)
    return replace(said, messages=(*rules, *said.messages))


@pytest.mark.parametrize("chars", [0, 1, 9, 20, 40, 1000])
async def test_the_system_messages_at_the_beginning_come_with_any_history_and_once(stores: Stores, chars: int) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), system_then("m0", "t", "one"))
    await open_and_finish(stores, "r1", new_run("r1"), turn("m1", "t", "two"))

    opened = await stores.runs.open_run(new_run("r2", history_chars=chars), turn("m2", "t", "three"))

    history = [message.content for message in opened.history]
    assert history[:2] == ["rule 0", "rule 1"]
    assert history[-1] == "three"
    assert history[2:] == ["one", "an answer", "two", "an answer", "three"][-len(history[2:]) :]


async def test_of_a_long_thread_too_and_none_that_stands_later(stores: Stores) -> None:
    opening = system_then("m0", "t", *["x" * 10] * 200)
    later = (MessageId("msg_m0_late"), NewMessage(Role.SYSTEM, "late rule"))
    opening = replace(opening, messages=(*opening.messages[:50], later, *opening.messages[50:]))
    await open_and_finish(stores, "r0", new_run("r0"), opening)

    opened = await stores.runs.reopen_run(new_run("r1", history_chars=50), RunId("run_r0"))

    assert [message.content for message in opened.history] == ["rule 0", "rule 1", *["x" * 10] * 5]


async def test_a_blank_or_empty_answer_takes_no_room_in_the_history(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", "one", opens=True))
    for name in ("r1", "r2"):
        await stores.runs.open_run(new_run(name), turn(f"m_{name}", "t", name))
        await stores.execution_store.finish(ending(name, " \n" * 500, status=RunStatus.FAILED))

    opened = await stores.runs.open_run(new_run("r3", history_chars=30), turn("m3", "t", "two"))

    assert [m.content for m in opened.history if m.content.strip()] == ["one", "an answer", "r1", "r2", "two"]


# -- refusals --------------------------------------------------------------------------------------------------------


def refusal(name: str) -> RunEnd:
    error = RunError("upstream_rejected", "The model's provider refused the request.")
    return ending(name, "", status=RunStatus.FAILED, error=error, refused=True)


async def statuses(stores: Stores) -> list[tuple[str, str]]:
    page = await stores.threads.list_messages(ANN, THREAD, PageRequest(100))
    return [(message.content, message.status.value) for message in page.items]


async def open_and_refuse(stores: Stores, name: str, opening: OpenTurn) -> None:
    await stores.runs.open_run(new_run(name), opening)
    assert await stores.execution_store.finish(refusal(name))


async def test_a_refused_message_stays_in_its_thread_and_is_marked(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", "one", opens=True))

    await open_and_refuse(stores, "r1", turn("m1", "t", "before", "bad"))

    assert await statuses(stores) == [
        ("one", "complete"), ("an answer", "complete"),
        ("before", "complete"), ("bad", "incomplete"), ("", "incomplete"),
    ]  # fmt: skip
    run = await stores.runs.read_run(ANN, RunId("run_r1"))
    assert (run.status, run.outcome and run.outcome.error and run.outcome.error.code) == (
        RunStatus.FAILED,
        "upstream_rejected",
    )
    assert [i.error_code for i in await stores.interactions() if i.run_id == "run_r1"] == ["upstream_rejected"]


async def test_any_other_end_marks_nothing(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", "one", opens=True))
    for name, status in (("r1", RunStatus.FAILED), ("r2", RunStatus.CANCELLED), ("r3", RunStatus.INTERRUPTED)):
        await stores.runs.open_run(new_run(name), turn(f"m_{name}", "t", name))
        if status is RunStatus.INTERRUPTED:
            await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90))
        else:
            await stores.execution_store.finish(ending(name, "", status=status))

    assert [status for content, status in await statuses(stores) if content] == ["complete"] * 5


async def test_it_takes_no_room_in_the_history(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", "one", opens=True))
    await open_and_refuse(stores, "r1", turn("m1", "t", "x" * 40_000))

    opened = await stores.runs.open_run(new_run("r2", history_chars=20), turn("m2", "t", "two"))

    assert "".join(m.content for m in opened.history if m.status is MessageStatus.COMPLETE) == "onean answertwo"


async def test_a_long_row_of_them_hides_nothing_that_was_answered(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", "one", opens=True))
    for number in range(70):
        await open_and_refuse(stores, f"b{number}", turn(f"mb{number}", "t", "bad"))

    opened = await stores.runs.open_run(new_run("r2", history_chars=20), turn("m2", "t", "two"))

    assert [m.content for m in opened.history if m.status is MessageStatus.COMPLETE] == ["one", "an answer", "two"]


async def test_of_the_same_end_twice_the_first_marks_and_the_second_is_nothing(stores: Stores) -> None:
    """As where the answer to a commit is lost, and a retry comes between the two."""
    await open_and_refuse(stores, "r0", turn("m0", "t", "one", opens=True))
    await stores.runs.reopen_run(new_run("r1"), RunId("run_r0"))

    assert await stores.execution_store.finish(refusal("r0"))

    assert await statuses(stores) == [("one", "complete"), ("", "streaming")]


async def test_whose_end_comes_too_late_marks_nothing(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r0"), turn("m0", "t", "one", opens=True))
    await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90))

    assert not await stores.execution_store.finish(refusal("r0"))
    assert not await stores.execution_store.finish(replace(refusal("r0"), epoch=3))

    assert await statuses(stores) == [("one", "complete"), ("", "incomplete")]


async def test_a_deleted_thread_leaves_nothing_to_mark(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r0"), turn("m0", "t", "one", opens=True))
    await stores.threads.delete_thread(ANN, THREAD, at(90))

    assert not await stores.execution_store.finish(refusal("r0"))


@pytest.mark.parametrize("by", ["run", "message"])
async def test_a_retry_takes_the_mark_away_and_another_refusal_sets_it_again(stores: Stores, by: str) -> None:
    async def retry(name: str, *, cap: LiveRunCap | None = None, key: IdempotencyKey | None = None) -> tuple[str, ...]:
        new = new_run(name, key=key)
        if by == "run":
            opened = await stores.runs.reopen_run(new, RunId("run_r1"), cap)
        else:
            opened = await stores.runs.answer_again(new, THREAD, MessageId("msg_m1_0"), cap)
        return tuple(f"{message.content} {message.status}" for message in opened.history)

    await open_and_refuse(stores, "r0", turn("m0", "t", "worse", opens=True))
    await open_and_refuse(stores, "r1", turn("m1", "t", "bad"))

    with pytest.raises(TooManyRuns):
        await retry("r2", cap=LiveRunCap(0))
    assert ("bad", "incomplete") in await statuses(stores), "no retry, no change"
    assert (await retry("r2", key=KEY))[-1] == "bad complete"
    with pytest.raises(ThreadBusy):
        await retry("r3")
    assert await statuses(stores) == [
        ("worse", "incomplete"), ("", "incomplete"), ("bad", "complete"), ("", "streaming")
    ]  # fmt: skip

    assert await stores.execution_store.finish(refusal("r2"))
    assert [status for content, status in await statuses(stores) if content] == ["incomplete", "incomplete"]
    assert await retry("r2b", key=KEY) == (), "the same key joins, and changes nothing"
    assert [status for content, status in await statuses(stores) if content] == ["incomplete", "incomplete"]

    assert (await retry("r4"))[-1] == "bad complete"
    assert await stores.execution_store.finish(ending("r4"))
    opened = await stores.runs.open_run(new_run("r5"), turn("m5", "t", "next"))
    sent = [m.content for m in opened.history if m.status is MessageStatus.COMPLETE]
    assert sent == ["bad", "an answer", "next"]


async def test_what_failed_before_two_refusals_is_not_handed_out_any_more(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", "one", opens=True))
    await stores.runs.open_run(new_run("r1"), turn("m1", "t", "x" * 40_000))
    await stores.execution_store.finish(ending("r1", "", status=RunStatus.FAILED))
    for name in ("r2", "r3"):
        await open_and_refuse(stores, name, turn(f"m_{name}", "t", "innocent"))

    opened = await stores.runs.open_run(new_run("r4", history_chars=20), turn("m4", "t", "two"))

    assert [m.content for m in opened.history if m.status is MessageStatus.COMPLETE] == ["one", "an answer", "two"]


async def test_messages_have_their_parts(stores: Stores) -> None:
    thought = Part(PartKind.REASONING, {}, "Hm", {"details": [{"signature": "s"}]}, closed=True)
    content = Content((Part(PartKind.TEXT), thought, Part(PartKind.TEXT, body="Hi", closed=True)))
    await stores.runs.open_run(new_run("r0"), turn("m0", "t", "one", opens=True))
    assert await stores.execution_store.finish(ending("r0", content))
    await open_and_finish(stores, "r1", new_run("r1"), turn("m1", "t", "two"))

    asked = await stores.runs.open_run(new_run("r2"), turn("m2", "t", "three"))
    assert await stores.execution_store.finish(ending("r2"))
    again = await stores.runs.reopen_run(new_run("r3"), RunId("run_r2"))

    assert [message.parts for message in asked.history] == [(), content.parts, (), (), ()]
    assert [message.content for message in asked.history] == ["one", "Hi", "two", "an answer", "three"]
    assert again.history[1].parts == content.parts
