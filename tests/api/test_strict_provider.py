"""A long conversation with the strictest of providers, over real sockets, where much goes wrong."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
import pytest

from chatorch.adapters.models.openai.chat_model import OpenAIChatModel
from tests.support import upstream as play
from tests.support.api import Apis, done, frames_of, newest_run, said
from tests.support.sizes import size
from tests.support.strict import objection
from tests.support.upstream import Script, Seen, Upstream

CHAT = "/api/chat/protected"
WORD = "forbidden"
TURNS = 30
MEMBERS = ("stream_options",)
"""Members that this provider refuses as well."""

DOWN = play.status(503, {"x-should-retry": "false"})


@dataclass
class Conversation:
    """One thread, and what the provider is going to do next. `answered` counts the turns that were."""

    alice: httpx.AsyncClient
    upstream: Upstream
    model: str
    dice: random.Random
    thread: str = ""
    last_run: str = ""
    answered: int = 0
    cancelled: int = 0
    last_refused: bool = False

    def scripted(self, *steps: play.Step) -> None:
        script: Script = [play.strict(WORD, *MEMBERS), *steps]
        self.upstream.play(self.model, script)

    def answers(self) -> str:
        self.answered += 1
        text = f"Answer {self.answered}"
        self.scripted(play.text("Answer ", str(self.answered)), play.finish(), play.usage(), play.done())
        return text

    async def say(self, text: str) -> httpx.Response:
        response = await self.alice.post(CHAT, json=self.body(text))
        self.last_run = await newest_run(self.alice)
        return response

    def body(self, text: str) -> dict[str, object]:
        return said(text, thread_id=self.thread, model=self.model)

    # -- what may happen -----------------------------------------------------------------------------------------------

    async def is_answered(self, turn: int) -> None:
        text = self.answers()
        response = await self.say(f"Turn {turn}")
        assert (response.status_code, response.json().get("response")) == (200, text), response.text
        self.last_refused = False

    async def is_streamed(self, turn: int) -> None:
        text = self.answers()
        response = await self.alice.post(CHAT, json={**self.body(f"Turn {turn}"), "stream": True})
        frames = frames_of(response.text)
        assert frames[-1].event == "run.completed", response.text
        assert "".join(frame.data.get("text", "") for frame in frames) == text
        self.last_run, self.last_refused = frames[0].data["run_id"], False

    async def is_refused(self, turn: int) -> None:
        self.scripted(play.text("never"))
        response = await self.say(f"Turn {turn} {WORD}")
        assert (response.status_code, response.json()["code"]) == (502, "upstream_rejected")
        self.last_refused = True

    async def is_blank(self, turn: int) -> None:
        response = await self.alice.post(CHAT, json=self.body(" \n\u200b"))
        assert response.status_code == 422

    async def is_down(self, turn: int) -> None:
        self.scripted(DOWN)
        assert (await self.say(f"Turn {turn}")).status_code == 503
        self.last_refused = False

    async def is_cut_before_a_word(self, turn: int) -> None:
        self.scripted(play.raw(b": hello\n\n"), play.close())
        assert (await self.say(f"Turn {turn}")).status_code in (502, 503)
        self.last_refused = False

    async def is_cut_in_the_middle(self, turn: int) -> None:
        self.scripted(play.text("Half"), play.close())
        assert (await self.say(f"Turn {turn}")).status_code in (502, 503)
        self.last_refused = False

    async def is_cancelled_before_a_word(self, turn: int) -> None:
        await self._cancelled(turn)

    async def is_cancelled_in_the_middle(self, turn: int) -> None:
        await self._cancelled(turn, play.text("So far"))

    async def _cancelled(self, turn: int, *steps: play.Step) -> None:
        self.cancelled += 1
        pause = f"{self.model}-{turn}"
        self.scripted(*steps, play.pause(pause))
        asked = asyncio.ensure_future(self.alice.post(CHAT, json=self.body(f"Turn {turn}")))
        await self.upstream.until(self.model, "paused", self.cancelled)
        self.last_run, self.last_refused = await newest_run(self.alice), False
        assert (await self.alice.post(f"/api/runs/{self.last_run}/cancel")).status_code == 202
        assert (await done(asked)).json()["code"] == "run_cancelled"
        await self.upstream.until(self.model, "closed", self.cancelled)

    async def is_retried(self, turn: int) -> None:
        text = self.answers()
        response = await self.alice.post(f"/api/runs/{self.last_run}/retry", json={"model": self.model})
        if self.last_refused:
            self.answered -= 1
            assert (response.status_code, response.json()["code"]) == (502, "upstream_rejected")
        else:
            assert (response.status_code, response.json().get("response")) == (200, text), response.text
        self.last_run = await newest_run(self.alice)

    async def begins(self, opening: list[dict[str, str]]) -> None:
        text = self.answers()
        response = await self.alice.post(CHAT, json={"messages": opening, "model": self.model})
        assert response.json()["response"] == text
        self.thread, self.last_run = response.json()["thread_id"], response.json()["run_id"]

    def any_turn(self) -> Callable[[int], Awaitable[None]]:
        return self.dice.choice(
            [
                *(self.is_answered, self.is_streamed, self.is_retried, self.is_refused, self.is_refused),
                *(self.is_blank, self.is_down, self.is_cut_before_a_word, self.is_cut_in_the_middle),
                *(self.is_cancelled_before_a_word, self.is_cancelled_in_the_middle),
            ]
        )


OPENINGS = [
    [("user", "Hi")],
    [("system", "Rule one"), ("system", "Rule two"), ("user", "Hi")],
    [
        ("assistant", "Welcome"),
        ("user", "Hi"),
        ("user", "And"),
        ("assistant", "Yes"),
        ("system", "Rule"),
        ("user", "So"),
    ],
]


@pytest.mark.soak
@pytest.mark.parametrize("opening", OPENINGS, ids=["plain", "ruled", "imported"])
@pytest.mark.parametrize("seed", range(size(1, 12)))
async def test_every_turn_that_should_be_answered_is(
    apis: Apis, upstream: Upstream, opening: list[tuple[str, str]], seed: int
) -> None:
    provider = OpenAIChatModel(None, base_url=upstream.base_url)
    window = 120 if (seed + len(opening)) % 2 else 48_000
    api = await apis.start(
        swapped={"chat_model": provider}, allowed_models="*", system_prompt="Be brief.", context_chars=window
    )
    talk = Conversation(await api.user("alice"), upstream, upstream.model(play.end()), random.Random(seed))
    await talk.begins([{"role": role, "content": content} for role, content in opening])
    for turn in range(TURNS):
        await talk.any_turn()(turn)
        if turn % 3 == 2:
            await talk.is_answered(turn)
    asked = upstream.seen(talk.model)
    assert [objection(seen.body["messages"]) for seen in asked] == [None] * len(asked)
    assert all(seen.body["messages"][0]["content"].startswith("Be brief.") for seen in asked)
    assert_refused_only_for_what_was_asked(asked)
    assert talk.answered >= TURNS // 3


def assert_refused_only_for_what_was_asked(asked: list[Seen]) -> None:
    """The word is in the message to answer, or nowhere."""
    for seen in asked:
        *before, last = seen.body["messages"]
        assert not any(WORD in message["content"] for message in before)
        assert WORD not in last["content"].rpartition("\n\n")[0]
