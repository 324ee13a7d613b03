"""What was agreed to, where it cannot be offered: its server has not answered since the process began."""

from collections.abc import Sequence

import pytest

from chatorch.adapters.memory.tools import MemoryTools
from chatorch.domain.model.call_answers import CallDecision
from chatorch.domain.model.identity import Scope
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import RunStatus
from chatorch.domain.model.tool_policy import ToolPolicy, tool_rules
from chatorch.domain.model.tools import Tool
from chatorch.domain.services.commands import AnswerCalls
from tests.support.app import ALICE, Chat
from tests.support.turns import ASKS, Handled, calling, handled


@pytest.mark.parametrize(
    ("may_have", "rules", "said"),
    [
        (True, ("*",), "paid"),
        (True, ("p*",), "paid"),
        (True, ("find",), "There is no tool of this name."),
        (False, ("*",), "There is no tool of this name."),
    ],
)
async def test_its_source_is_asked_where_it_may_have_it_and_its_user_may_use_it(
    may_have: bool, rules: tuple[str, ...], said: str
):
    pay = Handled("pay", "paid", about={"needs_approval": True})
    before = Chat(tools=[handled(pay)])
    before.model.then(*calling("pay"), ASKS)
    run = await before.ended(await before.start("Hi"))

    class Late(MemoryTools):
        def offered(self) -> Sequence[Tool]:
            return ()

        def may_have(self, name: str) -> bool:
            return may_have and name == "pay"

    after = Chat(tools=[Late((pay.tool, pay.carry_out))], store=before.store, tool_policy=ToolPolicy(tool_rules(rules)))
    after.model.then("So.")
    decided = AnswerCalls(run.thread_id, (CallDecision("c1", approve=True),))
    run = await after.ended(await after.runs.answer_calls(ALICE, decided))
    [result] = [part.body for part in run.content.parts if part.kind is PartKind.TOOL_RESULT]
    assert (result, len(pay.made)) == (said, int(said == "paid"))
    assert after.model.calls[-1].prompt.tools == ()


async def test_whoever_may_not_use_a_tool_is_not_given_another_one_of_its_name():
    careful = Handled("look", about={"scope": Scope.ADMIN, "needs_approval": True})
    careless = Handled("look")
    chat = Chat(tools=[handled(careful), handled(careless)])
    chat.model.then(*calling("look"), ASKS)
    run = await chat.ended(await chat.start("Hi"))
    assert (chat.model.calls[0].prompt.tools, run.status) == ((), RunStatus.COMPLETED)
    assert careful.made == careless.made == []
