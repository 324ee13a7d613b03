"""What a model is asked in turns with tools, as strict providers want it, whatever was said before."""

from chatorch.domain.model.context import ContextWindow
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import RunStatus
from chatorch.domain.services import RetryChat
from chatorch.domain.services.execution.tool_calls import ToolLimits
from chatorch.ports.chat_model import PartEnd, PartStart
from tests.support.app import ALICE, Chat
from tests.support.strict import calls_objection
from tests.support.turns import ASKS, Handled, calling, handled


def objections(chat: Chat) -> list[str]:
    told = [
        [(m.role.value, [str(c.head["id"]) for c in m.calls], m.call_id) for m in call.prompt.messages]
        for call in chat.model.calls
    ]
    return [objection for each in told if (objection := calls_objection(each))]


async def test_a_window_that_the_turn_itself_does_not_fit_into_has_all_of_it():
    chat = Chat(tools=[handled(Handled("long", "x" * 500))], context=ContextWindow(50))
    run = await chat.ended(await chat.start("An old question that is longer than the window by itself, or nearly so."))
    for _ in range(3):
        chat.model.then(*calling("long"), ASKS)
    chat.model.then("Done.")
    run = await chat.ended(await chat.start("New?", thread_id=run.thread_id))
    assert run.text == "Done."
    last = chat.model.calls[-1].prompt.messages
    assert [message.role.value for message in last] == ["user", *["assistant", "tool"] * 3]
    assert objections(chat) == []


async def test_calls_and_results_leave_the_window_together():
    for max_chars in range(20, 400, 7):
        chat = Chat(tools=[handled(Handled("short", "x" * 30))], context=ContextWindow(max_chars))
        thread_id = None
        for _ in range(4):
            chat.model.then("Hm. ", *calling("short", "same", a="b" * 10), *calling("short", "same"), ASKS)
            chat.model.then("So.")
            run = await chat.ended(await chat.start("Hi", thread_id=thread_id))
            thread_id = run.thread_id
        assert objections(chat) == []


async def test_reasoning_between_calls_goes_back_with_the_step_that_it_is_of():
    chat = Chat(tools=[handled(Handled("look", "seen"))])
    for n in (1, 2):
        thought = (PartStart(PartKind.REASONING), f"thought {n}", PartEnd())
        chat.model.then(*thought, *calling("look", f"a{n}"), *thought, *calling("look", f"b{n}"), ASKS)
    chat.model.then("Done.")
    run = await chat.ended(await chat.start("Hi"))
    assert run.status is RunStatus.COMPLETED
    steps = [m for m in chat.model.calls[-1].prompt.messages if m.calls]
    assert [[part.body for part in step.reasoning] for step in steps] == [["thought 1"] * 2, ["thought 2"] * 2]
    assert objections(chat) == []


async def test_exactly_as_many_steps_as_are_allowed_are_no_cut():
    tool = Handled("again")
    chat = Chat(tools=[handled(tool)], tool_limits=ToolLimits(max_steps=8))
    for n in range(7):
        chat.model.then(*calling("again", f"c{n}"), ASKS)
    chat.model.then("Done.")
    run = await chat.ended(await chat.start("Hi"))
    assert run.outcome is not None
    assert (run.text, run.outcome.finish_reason, len(tool.made)) == ("Done.", "stop", 7)


async def test_what_had_to_be_called_need_not_be_called_on_the_last_step_either():
    tools = [Handled("look"), Handled("pay", about={"needs_approval": True})]
    chat = Chat(tools=[handled(*tools)], tool_limits=ToolLimits(max_steps=2))
    chat.model.then(*calling("look"), ASKS)
    chat.model.then("Done.")
    await chat.ended(await chat.start("Hi", generation=Generation(tool_choice="required")))
    asked = [
        (call.prompt.generation.tool_choice, [tool.name for tool in call.prompt.tools]) for call in chat.model.calls
    ]
    assert asked == [("required", ["look", "pay"]), (None, ["pay"])]


async def test_a_retry_of_a_turn_with_tools_asks_it_anew():
    tool = Handled("look", "seen")
    chat = Chat(tools=[handled(tool)])
    chat.model.then(*calling("look"), ASKS)
    chat.model.then("Once.")
    first = await chat.ended(await chat.start("Hi"))
    chat.model.then(*calling("look"), ASKS)
    chat.model.then("Twice.")
    again = await chat.ended(await chat.runs.retry(ALICE, RetryChat(first.id)))
    assert (again.text, len(tool.made)) == ("Twice.", 2)
    assert [message.role.value for message in chat.model.calls[2].prompt.messages] == ["system", "user"]
    assert len({context.idempotency_key for _, context in tool.made}) == 2
    assert objections(chat) == []
