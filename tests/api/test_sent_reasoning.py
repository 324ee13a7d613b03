"""Whether a model is told what it thought: only where the operator says so, and never what it broke off."""

import pytest

from chatorch.domain.model.parts import PartKind
from chatorch.ports.chat_model import PartEnd, PartStart
from tests.support.api import Apis
from tests.support.fakes import Step

CHAT = "/api/chat/protected"
SIGNED = {"details": [{"type": "reasoning.encrypted", "data": "c2lnbmVk"}]}
THINKS: tuple[Step, ...] = (
    PartStart(PartKind.REASONING),
    "hm",
    PartEnd(SIGNED),
    PartStart(PartKind.TEXT),
    "So",
    PartEnd(),
)
SOURCE: tuple[Step, ...] = (PartStart(PartKind.SOURCE, {"url": "https://example.com/"}), PartEnd())


@pytest.mark.parametrize(("settings", "told"), [({}, []), ({"send_reasoning": True}, [("hm", SIGNED)])])
async def test_reasoning_goes_back_where_the_operator_says_so(apis: Apis, settings: dict, told: list) -> None:
    api = await apis.start(**settings)
    alice = await api.user("alice")
    api.model.then(*THINKS, *SOURCE)
    said = {"messages": [{"role": "user", "content": "Why?"}]}
    thread_id = (await alice.post(CHAT, json=said)).json()["thread_id"]
    assert (await alice.post(CHAT, json={**said, "thread_id": thread_id})).status_code == 200
    asked, answered, again = api.model.calls[-1].prompt.messages
    assert (asked.content, answered.content, again.content) == ("Why?", "So", "Why?")
    assert [(part.body, part.result) for part in answered.reasoning] == told
    assert not asked.reasoning
    assert not again.reasoning
