"""What every record of a run's execution_store keeps to: its row decides, once."""

import asyncio
from dataclasses import replace

import pytest

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import MessageStatus, RunId, ThreadId, Usage, UsageSource
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.part_pieces import pieces
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import (
    EPOCH_SPAN,
    INTERRUPTED,
    CancelReason,
    Interaction,
    LastContent,
    Outcome,
    Run,
    RunError,
    RunStatus,
    terminal_event,
)
from chatorch.domain.model.tools import CallStatus, Tally, ToolUse
from chatorch.domain.model.transcript import replay
from chatorch.ports.execution_store import Checkpoint, LiveRun, Ownership
from tests.support.stores import ANN, NOW, Stores, at, ending, new_run, turn

RUN = RunId("run_r")
THREAD = ThreadId("thr_t")
USAGE = Usage(3, 4, 7, UsageSource.PROVIDER)


async def open_run(stores: Stores, name: str = "r", thread: str = "t") -> Run:
    opened = await stores.runs.open_run(new_run(name), turn(f"m_{name}", thread, opens=True))
    return opened.run


async def answer_status(stores: Stores) -> MessageStatus:
    page = await stores.threads.list_messages(ANN, THREAD, PageRequest())
    return page.items[-1].status


async def live(stores: Stores) -> dict[RunId, LiveRun]:
    return {run.run_id: run for run in await stores.execution_store.live_runs()}


# -- checkpoints -----------------------------------------------------------------------------------------------------


async def test_a_checkpoint_saves_text_and_position_together(stores: Stores) -> None:
    await open_run(stores)

    ownerships = await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "héllo 🙂")])

    assert ownerships == {RUN: Ownership.MINE}
    run = await stores.runs.read_run(ANN, RUN)
    assert (run.status, run.text, run.seq) == (RunStatus.STREAMING, "héllo 🙂", Content.of("héllo 🙂").tip)
    assert await answer_status(stores) is MessageStatus.STREAMING


async def test_a_checkpoint_without_text_only_moves_the_heartbeat(stores: Stores) -> None:
    before = await open_run(stores)
    seen = (await live(stores))[RUN]

    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, None)])

    assert await stores.runs.read_run(ANN, RUN) == before
    assert (await live(stores))[RUN] == replace(seen, heartbeat=seen.heartbeat + 1)


async def test_a_checkpoint_without_text_keeps_the_text_that_was_saved(stores: Stores) -> None:
    await open_run(stores)
    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "so far")])

    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, None)])

    run = await stores.runs.read_run(ANN, RUN)
    assert (run.status, run.text, run.seq) == (RunStatus.STREAMING, "so far", Content.of("so far").tip)


async def test_a_checkpoint_learns_that_the_user_wants_it_stopped(stores: Stores) -> None:
    await open_run(stores)
    await stores.runs.request_cancel(ANN, RUN)

    ownerships = await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "so far")])

    assert ownerships == {RUN: Ownership.CANCEL}
    assert (await stores.runs.read_run(ANN, RUN)).text == "so far", "it is still mine to write"


async def test_one_batch_answers_for_every_run_in_it(stores: Stores) -> None:
    for name in ("mine", "cancel", "silent", "ended", "taken"):
        await open_run(stores, name, name)
    await stores.runs.request_cancel(ANN, RunId("run_cancel"))
    await stores.execution_store.finish(ending("ended", "the end"))

    ownerships = await stores.execution_store.checkpoint(
        [
            Checkpoint(RunId("run_taken"), 2, "zombie"),
            Checkpoint(RunId("run_silent"), 1, None),
            Checkpoint(RunId("run_mine"), 1, "my text"),
            Checkpoint(RunId("run_never"), 1, "nothing"),
            Checkpoint(RunId("run_ended"), 1, "zombie"),
            Checkpoint(RunId("run_cancel"), 1, "its text"),
        ]
    )

    assert {run_id: ownership.value for run_id, ownership in ownerships.items()} == {
        "run_taken": "lost",
        "run_silent": "mine",
        "run_mine": "mine",
        "run_never": "lost",
        "run_ended": "lost",
        "run_cancel": "cancel",
    }
    texts = {
        name: (await stores.runs.read_run(ANN, RunId(f"run_{name}"))).text for name in ("mine", "cancel", "silent")
    }
    assert texts == {"mine": "my text", "cancel": "its text", "silent": ""}
    assert (await stores.runs.read_run(ANN, RunId("run_ended"))).text == "the end"
    taken = await stores.runs.read_run(ANN, RunId("run_taken"))
    assert (taken.text, taken.status) == ("", RunStatus.QUEUED)


async def test_an_empty_batch_is_answered_with_nothing(stores: Stores) -> None:
    assert await stores.execution_store.checkpoint([]) == {}


async def test_a_batch_of_hundreds_is_saved_whole(stores: Stores) -> None:
    names = [f"n{index}" for index in range(200)]
    for name in names:
        await stores.runs.open_run(new_run(name), turn(name, name, opens=True))

    ownerships = await stores.execution_store.checkpoint(
        [Checkpoint(RunId(f"run_{name}"), 1, name * 3) for name in names]
    )

    assert set(ownerships.values()) == {Ownership.MINE}
    assert len(ownerships) == 200
    assert {run.heartbeat for run in (await live(stores)).values()} == {1}
    assert (await stores.runs.read_run(ANN, RunId("run_n123"))).text == "n123" * 3


# -- tails -----------------------------------------------------------------------------------------------------------


async def grow(stores: Stores, *pieces: str) -> str:
    """The first is saved as the whole text, the others each as a tail of what there was."""
    text = ""
    for piece in pieces:
        checkpoint = Checkpoint(RUN, 1, piece, len(text))
        assert await stores.execution_store.checkpoint([checkpoint]) == {RUN: Ownership.MINE}
        text += piece
    return text


async def shown(stores: Stores) -> set[str]:
    """The text of the run, everywhere where it can be read."""
    run = await stores.runs.read_run(ANN, RUN)
    page = await stores.threads.list_messages(ANN, THREAD, PageRequest())
    items = await stores.thread_items.list_items(ANN, THREAD, limit=10)
    live_run = await stores.threads.live_run(ANN, THREAD)
    assert live_run in (None, run)
    assert page.items[-1].id == items.items[-1].message.id == run.message_id
    return {run.text, page.items[-1].content, items.items[-1].message.content}


async def test_tails_are_read_as_one_text_with_what_stands_before_them(stores: Stores) -> None:
    await open_run(stores)

    text = await grow(stores, "héllo 🙂 ", "and", " more\n", "🙂🙂", " ", "日本語")

    assert await shown(stores) == {text}
    run = await stores.runs.read_run(ANN, RUN)
    assert (run.status, run.seq) == (RunStatus.STREAMING, Content.of(text).tip)
    assert (await live(stores))[RUN].heartbeat == 6


async def test_more_tails_than_there_are_digits_stay_in_their_order(stores: Stores) -> None:
    await open_run(stores)

    text = await grow(stores, *(f"{i} " for i in range(120)))

    assert await shown(stores) == {text}


async def test_a_tail_whose_commit_was_not_heard_of_comes_again_with_more(stores: Stores) -> None:
    await open_run(stores)
    await grow(stores, "begin ", "and")

    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "and more", 6)])
    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, ", more", 14)])

    assert await shown(stores) == {"begin and more, more"}


async def test_the_whole_text_replaces_all_tails(stores: Stores) -> None:
    await open_run(stores)
    text = await grow(stores, "begin ", "and ", "more ")

    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, f"{text}now whole")])
    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, ", and on", len(text) + 9)])

    assert await shown(stores) == {"begin and more now whole, and on"}


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.FAILED])
async def test_an_end_has_the_text_that_it_says_whatever_tails_there_were(stores: Stores, status: RunStatus) -> None:
    await open_run(stores)
    text = await grow(stores, "begin ", "and ", "more ")
    done = ending("r", f"{text}to the end", status=status, error=RunError("x", "y", retryable=True))

    assert await stores.execution_store.finish(done)

    assert await shown(stores) == {"begin and more to the end"}
    assert await stores.leftovers() == 0


@pytest.mark.parametrize("told", ["", "begin and m", "begin and more, and what nobody saved"])
async def test_an_interrupted_run_keeps_its_tails_or_the_longer_text(stores: Stores, told: str) -> None:
    await open_run(stores)
    text = await grow(stores, "begin ", "and ", "more")

    known = {RUN: LastContent(1, Content.of(told))}
    await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90), known)

    kept = max(text, told, key=len)
    assert await shown(stores) == {kept}
    run = await stores.runs.read_run(ANN, RUN)
    assert (run.status, run.seq) == (RunStatus.INTERRUPTED, Content.of(kept).tip + 1 + EPOCH_SPAN)
    assert await stores.leftovers() == 0


async def test_a_retry_sees_what_an_interrupted_run_had_said_by_its_tails(stores: Stores) -> None:
    await open_run(stores)
    text = await grow(stores, "begin ", "and ", "more")
    await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90))

    opened = await stores.runs.open_run(new_run("next"), turn("next", "t", "go on"))

    assert [message.content for message in opened.history] == ["hello", text, "go on"]


async def test_a_tail_of_another_epoch_or_an_ended_run_is_not_kept(stores: Stores) -> None:
    await open_run(stores)
    text = await grow(stores, "begin ", "and ")

    assert await stores.execution_store.checkpoint([Checkpoint(RUN, 2, "zombie", len(text))]) == {RUN: Ownership.LOST}
    assert await shown(stores) == {text}
    await stores.execution_store.finish(ending("r", "the end"))
    assert await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "zombie", len(text))]) == {RUN: Ownership.LOST}

    assert await shown(stores) == {"the end"}
    assert await stores.leftovers() == 0


async def test_a_thread_that_is_deleted_takes_its_tails_with_it(stores: Stores) -> None:
    await open_run(stores)
    await grow(stores, "begin ", "and ", "more")

    await stores.threads.delete_thread(ANN, THREAD, at(1))

    assert await stores.leftovers() == 0
    assert await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "zombie", 14)]) == {RUN: Ownership.LOST}


async def test_a_thread_that_is_deleted_leaves_what_its_live_run_has_used(stores: Stores) -> None:
    await open_run(stores)
    used = Usage(70, 5, 75, UsageSource.PROVIDER)
    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "A step.", kept=8, used=used)])

    await stores.threads.delete_thread(ANN, THREAD, at(1))

    [record] = await stores.interactions()
    assert (record.status, record.usage, record.attempts) == (RunStatus.CANCELLED, used, 1)


async def test_one_batch_holds_wholes_tails_and_bare_heartbeats(stores: Stores) -> None:
    for name in ("whole", "tail", "bare"):
        await open_run(stores, name, name)
    await stores.execution_store.checkpoint(
        [Checkpoint(RunId(f"run_{name}"), 1, "begin ") for name in ("tail", "bare")]
    )

    ownerships = await stores.execution_store.checkpoint(
        [
            Checkpoint(RunId("run_tail"), 1, "and more", 6),
            Checkpoint(RunId("run_bare"), 1, None),
            Checkpoint(RunId("run_whole"), 1, "whole"),
        ]
    )

    assert set(ownerships.values()) == {Ownership.MINE}
    texts = {name: (await stores.runs.read_run(ANN, RunId(f"run_{name}"))).text for name in ("whole", "tail", "bare")}
    assert texts == {"whole": "whole", "tail": "begin and more", "bare": "begin "}
    assert {run.run_id: run.heartbeat for run in await stores.execution_store.witness()} == {
        "run_tail": 2,
        "run_bare": 2,
        "run_whole": 1,
    }


async def test_who_watches_sees_the_live_runs(stores: Stores) -> None:
    await open_run(stores)
    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "text")])

    assert list(await stores.execution_store.witness()) == [LiveRun(RUN, 1, 1)]
    assert list(await stores.execution_store.witness([RUN, RunId("run_never")])) == [LiveRun(RUN, 1, 1)]


# -- ends ------------------------------------------------------------------------------------------------------------


async def test_a_completed_run_is_written_with_message_thread_and_interaction(stores: Stores) -> None:
    opened = await open_run(stores)
    done = ending("r", "answer", finish_reason="stop", usage=USAGE, first_piece_ms=12, duration_ms=345)

    assert await stores.execution_store.finish(done)

    run = await stores.runs.read_run(ANN, RUN)
    assert run == replace(
        opened,
        status=RunStatus.COMPLETED,
        content=Content.of("answer"),
        seq=done.seq,
        finished_at=at(60),
        outcome=Outcome(RunStatus.COMPLETED, "stop", USAGE),
    )
    assert await answer_status(stores) is MessageStatus.COMPLETE
    assert (await stores.threads.read_thread(ANN, THREAD)).updated_at == at(60)
    assert await stores.interactions() == [
        Interaction(RUN, THREAD, ANN, "a-model", RunStatus.COMPLETED, USAGE, 12, 345, None, NOW)
    ]
    assert await live(stores) == {}


async def test_a_failed_run_keeps_its_text_and_says_why(stores: Stores) -> None:
    await open_run(stores)
    error = RunError("upstream_timeout", "The model did not answer in time.", retryable=True)

    assert await stores.execution_store.finish(ending("r", "half", status=RunStatus.FAILED, error=error))

    run = await stores.runs.read_run(ANN, RUN)
    assert (run.status, run.text, run.outcome) == (RunStatus.FAILED, "half", Outcome(RunStatus.FAILED, error=error))
    assert await answer_status(stores) is MessageStatus.INCOMPLETE
    (interaction,) = await stores.interactions()
    assert (interaction.status, interaction.error_code) == (RunStatus.FAILED, "upstream_timeout")


@pytest.mark.parametrize("reason", list(CancelReason))
async def test_a_cancelled_run_keeps_its_text_and_says_who(stores: Stores, reason: CancelReason) -> None:
    await open_run(stores)

    await stores.execution_store.finish(ending("r", "half", status=RunStatus.CANCELLED, cancel_reason=reason))

    run = await stores.runs.read_run(ANN, RUN)
    assert (run.status, run.text) == (RunStatus.CANCELLED, "half")
    assert run.outcome == Outcome(RunStatus.CANCELLED, cancel_reason=reason)
    assert await answer_status(stores) is MessageStatus.INCOMPLETE


async def test_an_interaction_carries_the_guests_label(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r", guest_label="kiosk 7"), turn("m", "t", opens=True))

    await stores.execution_store.finish(ending("r"))

    (interaction,) = await stores.interactions()
    assert interaction.guest_label == "kiosk 7"


async def test_the_same_end_again_is_still_mine_and_recorded_once(stores: Stores) -> None:
    await open_run(stores)

    assert await stores.execution_store.finish(ending("r"))
    assert await stores.execution_store.finish(ending("r"))
    assert await stores.execution_store.finish(replace(ending("r", "other"), finished_at=at(99)))

    assert (await stores.runs.read_run(ANN, RUN)).text == "an answer"
    assert len(await stores.interactions()) == 1


async def test_an_end_of_another_epoch_is_refused(stores: Stores) -> None:
    before = await open_run(stores)

    assert not await stores.execution_store.finish(ending("r", epoch=2))

    assert await stores.runs.read_run(ANN, RUN) == before
    assert await stores.interactions() == []


async def test_an_unknown_run_cannot_be_ended(stores: Stores) -> None:
    assert not await stores.execution_store.finish(ending("never"))
    assert await stores.interactions() == []


async def test_ends_that_race_leave_one(stores: Stores) -> None:
    await open_run(stores)
    (seen,) = await stores.execution_store.live_runs()

    completed, interrupted = await asyncio.gather(
        stores.execution_store.finish(ending("r")), stores.execution_store.interrupt([seen], at(60))
    )

    assert completed is not bool(interrupted)
    (interaction,) = await stores.interactions()
    run = await stores.runs.read_run(ANN, RUN)
    assert run.status is interaction.status
    assert run.status is (RunStatus.COMPLETED if completed else RunStatus.INTERRUPTED)


# -- taking over -----------------------------------------------------------------------------------------------------


async def test_live_runs_are_those_of_all_owners_that_have_not_ended(stores: Stores) -> None:
    await open_run(stores)
    await open_run(stores, "ended", "ended")
    await stores.execution_store.finish(ending("ended"))
    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "text")])

    assert list(await stores.execution_store.live_runs()) == [LiveRun(RUN, 1, 1)]


async def test_an_interrupted_run_ends_with_the_text_saved_and_a_higher_epoch(stores: Stores) -> None:
    opened = await open_run(stores)
    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "so far")])

    ended = await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90))

    assert list(ended) == [RUN]
    run = await stores.runs.read_run(ANN, RUN)
    assert run == replace(
        opened,
        status=RunStatus.INTERRUPTED,
        content=Content.of("so far"),
        epoch=2,
        seq=run.seq,
        finished_at=at(90),
        outcome=INTERRUPTED,
    )
    assert run.seq == Content.of("so far").tip + 1 + EPOCH_SPAN
    assert await answer_status(stores) is MessageStatus.INCOMPLETE
    assert (await stores.threads.read_thread(ANN, THREAD)).updated_at == at(90)
    assert await stores.interactions() == [
        Interaction(RUN, THREAD, ANN, "a-model", RunStatus.INTERRUPTED, None, None, None, None, NOW)
    ]
    assert await live(stores) == {}


async def test_a_client_ahead_of_the_saved_text_still_hears_of_the_interruption(stores: Stores) -> None:
    await open_run(stores)
    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "so far")])
    await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90))

    run = await stores.runs.read_run(ANN, RUN)

    assert list(replay(run, after=1_000_000))[-1] == terminal_event(run)


async def test_the_worker_that_was_taken_over_from_is_refused_everything(stores: Stores) -> None:
    await open_run(stores)
    await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90))
    before = await stores.runs.read_run(ANN, RUN)

    assert await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "zombie")]) == {RUN: Ownership.LOST}
    assert not await stores.execution_store.finish(ending("r", "zombie"))

    assert await stores.runs.read_run(ANN, RUN) == before
    assert len(await stores.interactions()) == 1


@pytest.mark.parametrize("stale", [LiveRun(RUN, 1, 0), LiveRun(RUN, 2, 1), LiveRun(RunId("run_never"), 1, 0)])
async def test_a_run_that_is_not_as_it_was_seen_is_left_alone(stores: Stores, stale: LiveRun) -> None:
    await open_run(stores)
    await stores.execution_store.checkpoint([Checkpoint(RUN, 1, "alive")])

    assert list(await stores.execution_store.interrupt([stale], at(90))) == []

    assert (await stores.runs.read_run(ANN, RUN)).status is RunStatus.STREAMING
    assert await stores.interactions() == []


async def test_several_are_interrupted_at_once_and_only_those_told(stores: Stores) -> None:
    for name in ("a", "b", "c", "ended"):
        await open_run(stores, name, name)
    seen = await stores.execution_store.live_runs()
    await stores.execution_store.finish(ending("ended"))

    ended = await stores.execution_store.interrupt([run for run in seen if run.run_id != "run_c"], at(90))

    assert set(ended) == {"run_a", "run_b"}
    assert set(await live(stores)) == {"run_c"}
    assert len(await stores.interactions()) == 3


async def test_interrupting_nothing_ends_nothing(stores: Stores) -> None:
    await open_run(stores)

    assert list(await stores.execution_store.interrupt([], at(90))) == []

    assert set(await live(stores)) == {RUN}


async def test_an_ended_run_frees_its_thread(stores: Stores) -> None:
    await open_run(stores)
    await stores.execution_store.interrupt(await stores.execution_store.live_runs(), at(90))

    opened = await stores.runs.open_run(new_run("next"), turn("next", "t", "and now?"))

    assert opened.run.status is RunStatus.QUEUED


async def test_the_record_says_how_many_steps_it_took_and_what_was_called(stores: Stores) -> None:
    await open_run(stores)
    uses = (ToolUse("weather", CallStatus.COMPLETED, 120), ToolUse("pay", CallStatus.UNKNOWN, 0))
    end = replace(ending("r", "Sunny.", usage=USAGE), tally=Tally(3, USAGE, uses))
    assert await stores.execution_store.finish(end)
    [record] = await stores.interactions()
    assert (record.steps, record.tools, record.usage) == (3, uses, USAGE)


async def test_what_is_kept_of_a_turn_is_what_whoever_takes_it_over_is_told(stores: Stores) -> None:
    run = await open_run(stores)
    call = Part(PartKind.TOOL_CALL, {"id": "c", "name": "n", "by": "server"}, "{}", closed=True)
    asked = Content((Part(PartKind.TEXT, body="Hm."), call))
    saved = Checkpoint(RUN, 1, "Hm.", parts=pieces(asked), tip=asked.tip, kept=asked.tip)
    assert await stores.execution_store.checkpoint([saved], NOW) == {RUN: Ownership.MINE}
    assert await stores.execution_store.checkpoint([Checkpoint(RUN, 1, None)], NOW) == {RUN: Ownership.MINE}
    [claimed] = await stores.execution_store.claim([(await live(stores))[run.id]], NOW, history_chars=1000)
    assert (claimed.kept, claimed.run.content) == (asked.tip, asked)
    assert [message.content for message in claimed.history] == ["hello"]
