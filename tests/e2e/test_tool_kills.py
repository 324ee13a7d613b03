"""`kill -9` between any two writes of a tool call: made at most once unless idempotent, and the model hears of it."""

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ServerIn
from tests.support.accounts import sign_up
from tests.support.deadly_tools import called, installed
from tests.support.eventually import eventually
from tests.support.outages import outage
from tests.support.postgres import Databases
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.sockets import Caller, Exchange, calling
from tests.support.upstream import Script, Upstream, done, finish, hang, text, usage
from tests.support.upstream_parts import says

LATER = ("uncalled", "unsaved")
BOTH = ("act", "act_again")
DONE: Script = [text("Done."), finish(), usage(), done()]


def asks(*tools: str, where: str, whole: bool = True) -> Script:
    """A step that calls these; not `whole`: whose end does not come."""
    calls = [
        {
            "index": index,
            "id": f"call_{index}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps({"where": where})},
        }
        for index, name in enumerate(tools)
    ]
    return [says(tool_calls=calls), *([finish("tool_calls"), usage(), done()] if whole else [hang()])]


SCRIPTS: dict[str, tuple[Script, ...]] = {
    "unstored": (asks(*BOTH, where="unstored", whole=False), asks(*BOTH, where="unstored"), DONE),
    "during": (asks(*BOTH, where="during"), DONE),
    "unasked": (asks(*BOTH, where="unasked"), [hang()], DONE),
    "unanswered": (asks(*BOTH, where="unanswered"), [text("So. "), hang()], DONE),
    "uncalled": (asks(*BOTH, where="uncalled"), DONE),
    "unsaved": (asks(*BOTH, where="unsaved"), DONE),
}
MADE = {
    "unstored": {"act": 1, "act_again": 1},
    "during": {"act": 1, "act_again": 2},
    "unasked": {"act": 1, "act_again": 1},
    "unanswered": {"act": 1, "act_again": 1},
    "uncalled": {"act_again": 1},
    "unsaved": {"act": 1, "act_again": 2},
}
"""How often each is called, over the worker's death."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
async def server(request: pytest.FixtureRequest, server_in: ServerIn, postgres: Databases, tmp_path: Path) -> Server:
    """Not started; with tools that say in a file when they are called."""
    url = await postgres.fresh() if request.param == "postgresql" else None
    server = server_in(tmp_path, url, lease_s=2, continue_within_s=300, detach_grace_s=60)
    await sign_up(server, "alice")
    server.settings |= installed(tmp_path / "tools", tmp_path)
    server.from_scratch = True
    return server


async def test_no_tool_is_called_twice_wherever_its_worker_is_killed(
    server: Server, upstream: Upstream, tmp_path: Path
):
    """Before a call is stored; when it is, and is not made; while it is made; when its result is stored, and the model
    has not begun to answer, or has: all in one process, which the second of these kills. And where it has returned, and
    its result cannot be stored."""
    models = {where: upstream.model(*SCRIPTS[where]) for where in MADE if where not in LATER}
    async with serving(server):
        async with calling(server) as alice:
            asked = {where: await alice.say("Go.", model=model) for where, model in models.items()}
            await have_been_called(tmp_path, 6)
            await upstream.until(models["unasked"], "seen", 2)
            await asked["unanswered"].until(lambda heard: "So. " in heard.text)
            await asked["unstored"].until(lambda heard: b"call_1" in heard.body)
            models["uncalled"] = upstream.model(*SCRIPTS["uncalled"])
            asked["uncalled"] = await alice.say("Go.", model=models["uncalled"])
            await server.exited()
        (tmp_path / "again").touch()
        await server.start()
        async with calling(server) as alice:
            for where, stream in asked.items():
                await require_whole(alice, upstream, stream, where, models[where])
            await killed_before_results_are_saved(server, alice, upstream, asked, models)
        (tmp_path / "again").touch()
        await server.start()
        async with calling(server) as alice:
            await require_whole(alice, upstream, asked["unsaved"], "unsaved", models["unsaved"])
    require_called(tmp_path, *asked)


async def killed_before_results_are_saved(
    server: Server, alice: Caller, upstream: Upstream, asked: dict[str, Exchange], models: dict[str, str]
) -> None:
    """The calls have returned, and their follower has heard so of one or both, but the store takes no writes."""
    place, before = server.folder, len(called(server.folder))
    (place / "again").unlink()
    models["unsaved"] = upstream.model(*SCRIPTS["unsaved"])
    asked["unsaved"] = heard = await alice.say("Go.", model=models["unsaved"])
    await have_been_called(place, before + 2)
    url = server.settings["DATABASE_URL"]
    async with outage("busy file" if url.startswith("sqlite") else "table lock", url):
        (place / "go unsaved").touch()
        await heard.until(lambda heard: b"did unsaved" in heard.body)
        await server.kill()


async def have_been_called(place: Path, times: int) -> None:
    async def look() -> bool:
        return len(called(place)) == times

    await eventually(look)


async def require_whole(alice: Caller, upstream: Upstream, asked: Exchange, where: str, model: str) -> None:
    """It has completed, what is not known is said to be so, and the model was told what is stored."""
    followed = await (await alice.follow(asked.run_id)).ended(30)
    assert followed.terminals[-1]["type"] == "run.completed", where
    stored = await alice.run(asked.run_id)
    assert stored["status"] == "completed"
    [message] = [each for each in await alice.messages(stored["thread_id"]) if each["role"] == "assistant"]
    statuses = [part["status"] for part in message["parts"] if part["type"] == "tool_call"]
    unknown = MADE[where].get("act") != 1 or MADE[where]["act_again"] == 2
    assert statuses == ["unknown" if unknown else "completed", "completed"], where
    told = [each for each in upstream.seen(model)[-1].body["messages"] if each["role"] == "tool"]
    assert [_says(each) for each in told] == ["It is not known" if unknown else f"did {where}", f"did {where}"]


def _says(message: dict[str, Any]) -> str:
    return str(message["content"]).partition(" whether")[0]


def require_called(place: Path, *wheres: str) -> None:
    made = called(place)
    for where in wheres:
        assert Counter(name for at, name, _ in made if at == where) == MADE[where], where
        for tool in BOTH:
            assert len({key for at, name, key in made if (at, name) == (where, tool)}) <= 1, "another key"


@pytest.mark.soak
async def test_wherever_a_kill_falls_no_tool_is_called_twice(server: Server, upstream: Upstream, tmp_path: Path):
    """Every kill falls among ten turns of three calls each, at any moment of theirs."""
    turn = [asks("act", "act_again", where="anywhere"), asks("act", where="anywhere"), DONE]
    chance = random.Random(13)
    unknown = 0
    async with serving(server):
        for _ in range(size(2, 40)):
            async with calling(server) as alice:
                models = [upstream.model(*turn) for _ in range(10)]
                asked = [await alice.say("Go.", model=model) for model in models]
                await asyncio.gather(*(stream.until(lambda heard: heard.events) for stream in asked))
                await asyncio.sleep(chance.random() / 10)
                await server.kill()
            await server.start()
            async with calling(server) as alice:
                for stream, model in zip(asked, models, strict=True):
                    followed = await (await alice.follow(stream.run_id)).ended(30)
                    assert followed.terminals[-1]["type"] == "run.completed"
                    told = [each for each in upstream.seen(model)[-1].body["messages"] if each["role"] == "tool"]
                    unknown += sum(_says(each) == "It is not known" for each in told)
    keys = Counter(key for _, name, key in called(tmp_path) if name == "act")
    assert set(keys.values()) == {1}
    assert unknown
