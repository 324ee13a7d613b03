"""A turn of steps, in one process and on fakes."""

import asyncio
from typing import Any

from chatorch.adapters.memory.execution_store import MemoryExecutionStore
from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import Role
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import Run, RunStatus
from chatorch.domain.services.execution.tool_calls import ToolLimits
from chatorch.ports.chat_model import Finish
from chatorch.ports.tools import ToolError, ToolOutput
from tests.support.app import ALICE, Chat
from tests.support.fakes import PROVIDER_USAGE, Pause
from tests.support.turns import ASKS, Handled, calling, handled


def said(content: Content) -> list[tuple[str, Any]]:
    """Each part by its kind and what matters of it."""
    told: list[tuple[str, Any]] = []
    for _, part in content.shown():
        match part.kind:
            case PartKind.TOOL_CALL:
                told.append(("call", (part.head["id"], part.head["name"], part.body)))
            case PartKind.TOOL_RESULT:
                told.append((part.head["status"], (part.head["call_id"], part.body)))
            case _:
                told.append((part.kind.value, part.body))
    return told


async def answered(chat: Chat, *scripts: tuple[Any, ...], **asked: Any) -> Run:
    for script in scripts:
        chat.model.then(*script)
    return await chat.ended(await chat.start("Hi", **asked))


async def test_the_model_is_asked_again_with_what_came_of_its_calls():
    weather = Handled("weather", "sunny")
    chat = Chat(tools=[handled(weather)])
    run = await answered(chat, ("Let me see. ", *calling("weather", city="Rome"), ASKS), ("It is ", "sunny."))
    assert (run.status, run.outcome and run.outcome.finish_reason) == (RunStatus.COMPLETED, "stop")
    assert said(run.content) == [
        ("text", "Let me see. "),
        ("call", ("c1", "weather", '{"city": "Rome"}')),
        ("completed", ("c1", "sunny")),
        ("text", "It is sunny."),
    ]
    [(arguments, context)] = weather.made
    assert arguments == {"city": "Rome"}
    assert (context.principal, context.thread_id, context.run_id) == (ALICE, run.thread_id, run.id)
    assert context.idempotency_key == f"{run.id}:1"
    assert run.outcome is not None
    assert run.outcome.usage == PROVIDER_USAGE + PROVIDER_USAGE
    again = chat.model.calls[1].prompt.messages
    assert [(m.role, m.content, m.call_id, [c.head["id"] for c in m.calls]) for m in again[-3:]] == [
        (Role.USER, "Hi", None, []),
        (Role.ASSISTANT, "Let me see. ", None, ["c1"]),
        (Role.TOOL, "sunny", "c1", []),
    ]
    assert [tool.name for tool in chat.model.calls[0].prompt.tools] == ["weather"]


async def test_calls_of_one_step_are_made_side_by_side_and_told_to_the_model_in_their_order():
    slow, quick = Handled("slow", "second", Pause()), Handled("quick", "first")
    chat = Chat(tools=[handled(slow, quick)])
    chat.model.then(*calling("slow", "a"), *calling("quick", "b"), ASKS)
    chat.model.then("Done.")
    run = await chat.start("Hi")
    assert slow.waits is not None
    await slow.waits.reached()
    async with asyncio.timeout(5):
        while "first" not in str(chat.log.content(run.id)):
            await asyncio.sleep(0)
    slow.waits.go_on()
    ended = await chat.ended(run)
    assert said(ended.content)[2:] == [
        ("completed", ("b", "first")),
        ("completed", ("a", "second")),
        ("text", "Done."),
    ]
    told = chat.model.calls[1].prompt.messages[-2:]
    assert [(message.call_id, message.content) for message in told] == [("a", "second"), ("b", "first")]


async def test_no_more_calls_are_made_at_a_time_than_the_operator_allows():
    waits = Pause()
    first, others = Handled("first", waits=waits), Handled("other")
    chat = Chat(tools=[handled(first, others)], tool_limits=ToolLimits(at_once=1))
    chat.model.then(*calling("first", "a"), *calling("other", "b"), ASKS)
    chat.model.then("Done.")
    run = await chat.start("Hi")
    await waits.reached()
    assert others.made == []
    waits.go_on()
    assert (await chat.ended(run)).text == "Done."


async def test_what_goes_wrong_with_a_call_is_told_to_the_model_and_ends_nothing():
    class Unsafe(Exception):
        pass

    tools = handled(
        Handled("breaks", Unsafe("the password is swordfish")),
        Handled("says_no", ToolError("No such city.")),
        Handled("errs", ToolOutput("Out of range.", is_error=True)),
        Handled("talks", "x" * 101),
        Handled("complains", ToolError("x" * 101)),
        Handled("gives_up", asyncio.CancelledError()),
    )
    chat = Chat(tools=[tools], tool_limits=ToolLimits(max_result_chars=100))
    calls = [
        *calling("breaks", "a"),
        *calling("says_no", "b"),
        *calling("errs", "c"),
        *calling("talks", "d"),
        *calling("nobody_has_it", "e"),
        *(calling("says_no", "f")[0], "{not json", calling("says_no", "f")[2]),
        *(calling("says_no", "g")[0], "[1]", calling("says_no", "g")[2]),
        *(calling("says_no", "h")[0], '{"a": NaN}', calling("says_no", "h")[2]),
        *calling("complains", "i"),
        *calling("gives_up", "j"),
    ]
    run = await answered(chat, (*calls, ASKS), ("Sorry.",))
    assert run.status is RunStatus.COMPLETED
    results = dict(detail for status, detail in said(run.content) if status == "failed")
    assert results == {
        "a": "The tool failed.",
        "b": "No such city.",
        "c": "Out of range.",
        "d": "The tool said more than 100 characters, which is too much.",
        "e": "There is no tool of this name.",
        "f": "The arguments are not JSON.",
        "g": "The arguments are not a JSON object.",
        "h": "The arguments are not JSON.",
        "i": "The tool said more than 100 characters, which is too much.",
        "j": "The tool failed.",
    }
    used = {use.name for use in chat.telemetry.uses}
    assert used == {"breaks", "says_no", "errs", "talks", "unknown", "complains", "gives_up"}


async def test_what_all_tools_say_together_leaves_room_for_an_answer():
    talks = Handled("talks", "x" * 300)
    limits = ToolLimits(max_result_chars=400, max_results_chars=700)
    chat = Chat(tools=[handled(talks)], tool_limits=limits, max_answer_chars=2_500)
    run = await answered(chat, *[(*calling("talks"), ASKS) for _ in range(4)], ("Enough.",))
    assert (run.status, run.text) == (RunStatus.COMPLETED, "Enough.")
    results = [detail for status, detail in said(run.content) if status in {"completed", "failed"}]
    assert [len(text) for _, text in results] == [300, 300, 82, 82]
    assert len(talks.made) == 4


async def test_a_tool_that_takes_too_long_is_given_up():
    hangs = Handled("hangs", waits=Pause())
    chat = Chat(tools=[handled(hangs)], tool_limits=ToolLimits(timeout_s=0.01))
    run = await answered(chat, (*calling("hangs"), ASKS), ("Never mind.",))
    assert ("failed", ("c1", "The tool took longer than 0.01 s.")) in said(run.content)
    assert run.text == "Never mind."


async def test_a_model_that_never_stops_asking_is_asked_only_so_often():
    tools = Handled("again")
    chat = Chat(tools=[handled(tools)], tool_limits=ToolLimits(max_steps=3))
    run = await answered(chat, *[(*calling("again", "c"), ASKS) for _ in range(4)])
    assert len(chat.model.calls) == 3
    assert len(tools.made) == 2
    assert chat.model.calls[-1].prompt.generation.tool_choice == "none"
    assert run.outcome is not None
    assert (run.status, run.outcome.finish_reason) == (RunStatus.COMPLETED, "length")
    assert said(run.content)[-1][0] == "not_executed"
    ids = [detail[0] for kind, detail in said(run.content) if kind == "call"]
    assert len(set(ids)) == 3, "results find their calls by their ids"


async def test_what_was_asked_for_in_an_answer_that_was_cut_off_is_not_done():
    tools = Handled("weather")
    chat = Chat(tools=[handled(tools)])
    run = await answered(chat, (*calling("weather"), Finish("length", PROVIDER_USAGE)))
    assert tools.made == []
    assert said(run.content)[-1][0] == "not_executed"
    assert run.outcome is not None
    assert run.outcome.finish_reason == "length"


async def test_a_tool_tells_people_how_it_gets_on():
    chat = Chat(tools=[handled(Handled("dig", progress=({"done": 1}, {"done": 2})))])
    run = await answered(chat, (*calling("dig"), ASKS), ("There.",))
    data = [part for part in run.content.parts if part.kind is PartKind.DATA]
    assert [(part.head["name"], part.head["call_id"], part.body) for part in data] == [
        ("dig", "c1", '{"done": 1}'),
        ("dig", "c1", '{"done": 2}'),
    ]
    told = chat.model.calls[1].prompt.messages
    assert "done" not in "".join(message.content for message in told[:-1])


async def test_nothing_is_called_before_it_is_stored():
    chat = Chat()
    stored: list[Any] = []

    class Looks(Handled):
        async def carry_out(self, arguments, context):
            kept = await chat.store.runs.read_run(ALICE.user_id, context.run_id)
            stored.append(said(kept.content))
            async for each in super().carry_out(arguments, context):
                yield each

    chat = Chat(tools=[handled(Looks("weather", "sunny"))])
    await answered(chat, ("Hm. ", *calling("weather", city="Rome"), ASKS), ("Sunny.",))
    assert stored == [[("text", "Hm. "), ("call", ("c1", "weather", '{"city": "Rome"}'))]]


async def test_without_tools_to_offer_nothing_stands_between_model_and_reader():
    chat = Chat()
    run = await answered(chat, (*calling("weather"), ASKS))
    assert run.outcome is not None
    assert (run.status, run.outcome.finish_reason) == (RunStatus.COMPLETED, "stop"), "nobody is waited for"
    assert len(chat.model.calls) == 1
    assert chat.model.calls[0].prompt.tools == ()


async def test_a_stop_gives_up_the_calls_that_are_being_made():
    hangs = Handled("hangs", waits=Pause())
    chat = Chat(tools=[handled(hangs)])
    chat.model.then(*calling("hangs"), ASKS)
    run = await chat.start("Hi")
    assert hangs.waits is not None
    await hangs.waits.reached()
    await chat.runs.cancel(ALICE, run.id)
    ended = await chat.ended(run)
    assert ended.status is RunStatus.CANCELLED
    assert said(ended.content) == [("call", ("c1", "hangs", "{}"))]


class CountingStore(MemoryExecutionStore):
    saved = 0

    async def checkpoint(self, checkpoints, now=None):
        self.saved += 1
        return await super().checkpoint(checkpoints, now)


async def test_a_step_costs_a_transaction_and_one_for_each_result_at_most_and_a_plain_answer_none():
    store = MemoryStore()
    counting = store.execution_store = CountingStore(store.state)
    look = Handled("look", progress=(1, 2, 3))
    chat = Chat(store=store, tools=[handled(look)])
    plain = await answered(chat, ("Hello",))
    assert (plain.text, counting.saved) == ("Hello", 0)
    calls = [piece for n in range(3) for piece in calling("look", f"c{n}")]
    await answered(chat, (*calls, ASKS), ("Done.",))
    assert 2 <= counting.saved <= 1 + 3
