"""Models and tools that do what nobody should: the turn goes on, or ends, and nothing is left behind."""

import asyncio

from chatorch.domain.model.calls import calls_in
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import CancelReason, RunStatus
from chatorch.domain.services.execution.tool_calls import ToolLimits
from chatorch.ports.chat_model import Finish, PartEnd, PartStart
from tests.support.app import ALICE, Chat
from tests.support.fakes import PROVIDER_USAGE, Pause, settle
from tests.support.turns import ASKS, Handled, calling, handled


async def test_a_tool_whose_own_work_was_cancelled_has_failed_and_hangs_nothing():
    class Leaves(Handled):
        async def carry_out(self, arguments, context):
            gone = asyncio.ensure_future(asyncio.Event().wait())
            gone.cancel()
            await gone
            yield

    chat = Chat(tools=[handled(Leaves("leaves"))])
    chat.model.then(*calling("leaves"), ASKS)
    chat.model.then("Never mind.")
    run = await chat.ended(await chat.start("Hi"))
    assert run.text == "Never mind."
    assert [part.body for part in run.content.parts if part.kind is PartKind.TOOL_RESULT] == ["The tool failed."]


async def test_a_number_that_is_too_great_is_no_json():
    tool = Handled("counts")
    chat = Chat(tools=[handled(tool)])
    start, _, end = calling("counts")
    chat.model.then(start, '{"a": 1e999}', end, ASKS)
    run = await chat.ended(await chat.start("Hi"))
    assert tool.made == []
    assert "The arguments are not JSON." in [part.body for part in run.content.parts]


async def test_arguments_of_any_kind_of_nonsense_are_the_calls_own_fault():
    tool = Handled("counts")
    chat = Chat(tools=[handled(tool)])
    nonsense = ["[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, '{"a": ' + "9" * 5000 + "}", "\x7f"]
    calls = [
        piece
        for n, body in enumerate(nonsense)
        for piece in (PartStart(PartKind.TOOL_CALL, {"id": f"c{n}", "name": "counts"}), body, PartEnd())
    ]
    chat.model.then(*calls, ASKS)
    run = await chat.ended(await chat.start("Hi"))
    assert (run.status, tool.made) == (RunStatus.COMPLETED, [])
    bodies = [part.body for part in run.content.parts if part.kind is PartKind.TOOL_RESULT]
    assert bodies == ["The arguments are not JSON."] * len(nonsense)


async def test_nobody_is_asked_to_approve_of_arguments_that_are_none():
    pay = Handled("pay", about={"needs_approval": True})
    chat = Chat(tools=[handled(pay)])
    start, _, end = calling("pay")
    chat.model.then(start, "{nonsense", end, *calling("pay", "c2"), ASKS)
    run = await chat.ended(await chat.start("Hi"))
    results = {part.head["call_id"]: part.body for part in run.content.parts if part.kind is PartKind.TOOL_RESULT}
    assert (results, run.outcome and run.outcome.finish_reason) == ({"c1": "The arguments are not JSON."}, "tool_calls")
    chat.model.then(start, "[1]", end, ASKS)
    chat.model.then("Never mind.")
    run = await chat.ended(await chat.start("Never mind"))
    assert (run.text, run.outcome and run.outcome.finish_reason) == ("Never mind.", "stop")
    assert pay.made == []


async def test_progress_takes_no_room_from_what_the_model_says():
    chatty = [Handled(f"t{n}", "ok", progress=("x" * 4000,) * 100) for n in range(3)]
    chat = Chat(tools=[handled(*chatty)], tool_limits=ToolLimits(max_progress_chars=10_000))
    chat.model.then(*[piece for n in range(3) for piece in calling(f"t{n}", f"c{n}")], ASKS)
    chat.model.then("Done.")
    run = await chat.ended(await chat.start("Hi"))
    said = sum(len(part.body) for part in run.content.parts if part.kind is PartKind.DATA)
    assert (run.text, said) == ("Done.", 2 * 4002)


async def test_more_calls_than_anybody_plans_are_not_made():
    find, pay = Handled("find"), Handled("pay", about={"needs_approval": True})
    chat = Chat(tools=[handled(find, pay)])
    names = ["find"] * 127 + ["pay"] * 3 + ["find"] * 2000
    chat.model.then(*[piece for name in names for piece in calling(name, "")], ASKS)
    run = await chat.ended(await chat.start("Hi"))
    results = [part for part in run.content.parts if part.kind is PartKind.TOOL_RESULT]
    refused = [part for part in results if part.body == "This tool was not called: at most 128 can be called at once."]
    assert (len(find.made), len(refused), len(results)) == (127, 2002, 127 + 2002)
    assert run.outcome is not None
    assert (run.outcome.finish_reason, len({call.head["id"] for call in calls_in(run.content.parts)})) == (
        "tool_calls", 2130
    )  # fmt: skip


async def test_a_call_by_a_name_that_no_tool_can_have_goes_back_by_one_that_providers_take():
    said = {"multi_tool_use.parallel": "multi_tool_use_parallel", "": "unknown", "wetter für": "wetter_f_r"}
    said["x" * 70] = "x" * 64
    tool = Handled("find")
    chat = Chat(tools=[handled(tool)])
    calls = [
        piece
        for n, name in enumerate(said)
        for piece in (PartStart(PartKind.TOOL_CALL, {"id": f"c{n}" if n else "", "name": name}), "{}", PartEnd())
    ]
    chat.model.then(*calls, ASKS)
    run = await chat.ended(await chat.start("Hi"))
    assert (run.status, tool.made) == (RunStatus.COMPLETED, [])
    [asked, *results] = [
        message for message in chat.model.calls[-1].prompt.messages if message.calls or message.call_id
    ]
    assert [call.head["name"] for call in asked.calls] == list(said.values())
    assert all(call.head["id"] for call in asked.calls)
    assert [result.content for result in results] == ["There is no tool of this name."] * len(said)


async def test_a_hundred_calls_of_one_step_are_made_a_few_at_a_time():
    at_once: list[int] = []

    class Counts(Handled):
        going = 0

        async def carry_out(self, arguments, context):
            self.going += 1
            at_once.append(self.going)
            try:
                await asyncio.sleep(0)
                async for each in super().carry_out(arguments, context):
                    yield each
            finally:
                self.going -= 1

    counts = Counts("counts")
    chat = Chat(tools=[handled(counts)], tool_limits=ToolLimits(at_once=4))
    chat.model.then(*(piece for n in range(100) for piece in calling("counts", f"c{n}")), ASKS)
    run = await chat.ended(await chat.start("Hi"))
    assert (run.status, len(counts.made), max(at_once)) == (RunStatus.COMPLETED, 100, 4)


async def test_finish_reasons_that_lie_are_not_believed():
    tool = Handled("weather")
    chat = Chat(tools=[handled(tool)])
    chat.model.then(*calling("weather"), Finish("stop", PROVIDER_USAGE))
    chat.model.then("Sunny.", ASKS)
    run = await chat.ended(await chat.start("Hi"))
    assert run.outcome is not None
    assert (run.text, run.outcome.finish_reason, len(tool.made)) == ("Sunny.", "stop", 1)


async def test_a_connection_that_breaks_behind_a_call_calls_nothing():
    tool = Handled("weather")
    chat = Chat(tools=[handled(tool)])
    chat.model.then(*calling("weather"), RuntimeError("cut"))
    run = await chat.ended(await chat.start("Hi"))
    assert (run.status, tool.made) == (RunStatus.FAILED, [])


async def test_what_a_tool_says_is_stored_clean_and_no_longer_than_an_answer_may_be():
    dirty = Handled("dirty", "a\x00b\ud800c")
    chat = Chat(tools=[handled(dirty, Handled("long", "x" * 10_000_000))], max_answer_chars=2000)
    chat.model.then(*calling("dirty", "a"), *calling("long", "b"), ASKS)
    run = await chat.ended(await chat.start("Hi"))
    told = {part.head["call_id"]: part.body for part in run.content.parts if part.kind is PartKind.TOOL_RESULT}
    assert run.status is RunStatus.COMPLETED
    assert told["a"].startswith("a")
    assert not {"\x00", "\ud800"} & set(told["a"])
    assert told["b"].startswith("The tool said more than")


async def test_results_that_make_an_answer_too_long_end_it():
    chat = Chat(tools=[handled(Handled("long", "x" * 1900))], max_answer_chars=2000)
    chat.model.then(*calling("long"), ASKS)
    run = await chat.ended(await chat.start("Hi"))
    assert run.outcome is not None
    assert run.outcome.error is not None
    assert (run.status, run.outcome.error.code) == (RunStatus.FAILED, "upstream_invalid")
    assert len(chat.model.calls) == 1


async def test_progress_alone_costs_no_transaction():
    digs = Handled("digs", waits=Pause(), progress=tuple(range(1000)))
    chat = Chat(tools=[handled(digs)])
    chat.model.then(*calling("digs"), ASKS)
    run = await chat.start("Hi")
    assert digs.waits is not None
    await digs.waits.reached()
    await settle()
    [live] = await chat.store.execution_store.live_runs()
    assert live.heartbeat == 1, "that it is about to be made"
    digs.waits.go_on()
    run = await chat.ended(run)
    assert sum(part.kind is PartKind.DATA for part in run.content.parts) == 100


async def test_nothing_is_left_running_when_a_run_is_stopped_detached_or_drained():
    for ends in ("stopped", "detached", "drained"):
        hangs = Handled("hangs", waits=Pause())
        chat = Chat(tools=[handled(hangs)], grace_s=30.0)
        chat.model.then(*calling("hangs"), ASKS)
        before = asyncio.all_tasks()
        run = await chat.start("Hi")
        assert hangs.waits is not None
        await hangs.waits.reached()
        if ends == "stopped":
            await chat.runs.cancel(ALICE, run.id)
        elif ends == "drained":
            await chat.executor.drain(0.01)
        else:
            keeping = asyncio.ensure_future(chat.executor.keep_grace())
            await chat.clock.advance(31)
            keeping.cancel()
        ended = await chat.ended(run)
        await settle()
        assert asyncio.all_tasks() <= before
        assert ended.outcome is not None
        reasons = {"stopped": CancelReason.USER, "detached": CancelReason.DETACHED, "drained": CancelReason.SHUTDOWN}
        assert (ended.status, ended.outcome.cancel_reason) == (RunStatus.CANCELLED, reasons[ends])
        if ends == "drained":
            chat = Chat(store=chat.store)
        chat.model.then("Well.")
        again = await chat.ended(await chat.start("And?", thread_id=run.thread_id))
        assert "It is not known whether this tool was called" in str(chat.model.calls[-1].prompt.messages)
        assert again.status is RunStatus.COMPLETED


async def test_a_provider_that_is_asked_late_is_told_how_long_the_turn_has_taken():
    """Its total time-out counts from the beginning: tools cannot stretch a turn for ever."""
    slow = Handled("slow", waits=Pause())
    chat = Chat(tools=[handled(slow)])
    chat.model.then(*calling("slow"), ASKS)
    chat.model.then("Done.")
    run = await chat.start("Hi")
    assert slow.waits is not None
    await slow.waits.reached()
    await chat.clock.advance(50)
    slow.waits.go_on()
    await chat.ended(run)
    assert [call.prompt.begun_s for call in chat.model.calls] == [0, 50]


async def test_a_call_that_waits_for_somebody_waits_for_the_store_as_well():
    chat = Chat(tools=[handled(Handled("pay", about={"needs_approval": True}))])
    chat.model.then("Shall I? ", *calling("pay"), ASKS)
    run = await chat.start("Hi")
    chat.store.state.available = False
    await settle()
    for _ in range(8):
        await chat.clock.advance(1)
    assert chat.executor.executes(run.id)
    chat.store.state.available = True
    for _ in range(4):
        await chat.clock.advance(1)
    run = await chat.ended(run)
    assert (run.status, run.content.parts[-1].head["id"]) == (RunStatus.COMPLETED, "c1")
