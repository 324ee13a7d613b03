"""What neighbours of one role are as one message."""

from chatorch.adapters.models.joined_turns import JoinedTurns
from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import Role
from chatorch.domain.model.parts import Part, PartKind
from chatorch.ports.chat_model import Prompt
from tests.support.fakes import ScriptedChatModel


async def test_neighbours_go_as_one_with_what_each_of_them_thought():
    first, second = (Part(PartKind.REASONING, body=body, closed=True) for body in ("hm", "aha"))
    said = (
        PromptMessage(Role.USER, "a"),
        PromptMessage(Role.USER, "b"),
        PromptMessage(Role.ASSISTANT, "c", (first,)),
        PromptMessage(Role.ASSISTANT, "d", (second,)),
    )
    model = ScriptedChatModel("Hello")
    async for _ in JoinedTurns(model).stream(Prompt("m", said, "u")):
        pass
    assert model.calls[0].prompt.messages == (
        PromptMessage(Role.USER, "a\n\nb"),
        PromptMessage(Role.ASSISTANT, "c\n\nd", (first, second)),
    )
