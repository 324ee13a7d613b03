"""The model that answers without a network."""

import asyncio

import pytest

from chatorch.adapters.models.offline import MAX_SECONDS, OfflineChatModel
from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import Role
from chatorch.ports.chat_model import Prompt
from tests.support.chat import Heard, listen, prompt
from tests.support.fakes import FakeClock


@pytest.fixture
def model() -> OfflineChatModel:
    return OfflineChatModel(FakeClock(), piece_delay=0)


async def test_it_says_that_it_is_offline_and_what_to_set(model: OfflineChatModel) -> None:
    heard = await listen(model, prompt())
    assert "offline" in heard.text
    assert "OPENAI_API_KEY" in heard.text
    assert "OPENAI_BASE_URL" in heard.text
    assert heard.finish.usage is None


async def test_the_same_prompt_gets_the_same_answer(model: OfflineChatModel) -> None:
    assert (await listen(model, prompt())).pieces == (await listen(model, prompt())).pieces


async def test_it_repeats_the_last_message_of_the_user(model: OfflineChatModel) -> None:
    messages = (
        PromptMessage(Role.SYSTEM, "Be kind."),
        PromptMessage(Role.USER, "First"),
        PromptMessage(Role.ASSISTANT, "Yes?"),
        PromptMessage(Role.USER, "Second"),
    )
    heard = await listen(model, Prompt("any", messages, "usr_1"))
    assert heard.text.endswith("> Second\n")
    assert "First" not in heard.text
    assert "kind" not in heard.text


@pytest.mark.parametrize(
    "told", ["# Title\n\n```\ncode", "one\r\ntwo\rthree\u2028four", "<script>\n</script>\n> nested"]
)
async def test_markup_of_the_message_stays_inside_its_quotation(model: OfflineChatModel, told: str) -> None:
    heard = await listen(model, prompt("any", told))
    quoted = heard.text.partition("You wrote:\n\n")[2]
    assert len(quoted.splitlines()) == len(told.splitlines())
    assert all(line.startswith(">") for line in quoted.splitlines())


async def test_without_a_message_of_the_user_it_only_introduces_itself(model: OfflineChatModel) -> None:
    heard = await listen(model, Prompt("any", (), "usr_1"))
    assert "You wrote" not in heard.text
    assert heard.finish


@pytest.mark.parametrize("words", [1, 300, 20_000])
async def test_it_streams_visibly_but_never_for_minutes(words: int) -> None:
    clock = FakeClock()
    listening = asyncio.ensure_future(listen(OfflineChatModel(clock), prompt("any", "word " * words)))
    while not listening.done():
        await clock.advance(0.04)
    heard: Heard = listening.result()
    assert len(heard.pieces) > 10
    assert 0.02 * 10 < clock.monotonic() <= MAX_SECONDS + 0.1
