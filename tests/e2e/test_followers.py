"""A client that leaves and comes back, anywhere, sees the text that it would have seen if it had stayed."""

import asyncio
import json
import random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.upstream_errors import UpstreamUnavailable
from chatorch.ports.chat_model import PartEnd, PartStart
from tests.support.event_reader import Screen
from tests.support.fakes import settle
from tests.support.in_process import Connection, Process, store_with_alice
from tests.support.server import Server
from tests.support.sizes import size
from tests.support.sockets import Caller, Exchange, batches, calling
from tests.support.upstream import Upstream, done, finish, text, usage

PIECES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6),
    min_size=1,
    max_size=4,
)
CUTS = st.one_of(st.none(), st.integers(0, 900))
HEADS = {
    PartKind.TOOL_CALL: {"id": "call_1", "name": "find"},
    PartKind.SOURCE: {"url": "https://x.example", "title": "A page"},
}
CLIENTS = st.integers(0, 2)


class Histories(RuleBasedStateMachine):
    """Three clients of one run come and go, in the middle of any byte, while it is said, saved, ended, or dies."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.do: Any = self.runner.run
        self.screens = [Screen(), Screen(), Screen()]
        self.connections: dict[int, Connection] = {}
        self.source = ""
        self.live = True

    @initialize()
    def a_run_begins(self) -> None:
        self.do(self._begin())

    async def _begin(self) -> None:
        self.store = await store_with_alice()
        self.process = Process(self.store)
        first = self._connect(
            "POST", "/api/chat/protected", {"messages": [{"role": "user", "content": "Hi"}], "stream": True}, {}, None
        )
        await settle()
        self.connections[0] = first
        self.run_id = first.events[0]["run_id"]

    def _connect(
        self, method: str, path: str, body: object, headers: dict[str, str], cut_after: int | None
    ) -> Connection:
        return self.process.connect(method, path, body, headers=headers, cut_after=cut_after)

    @rule(pieces=PIECES, at_once=st.booleans())
    @precondition(lambda self: self.live)
    def the_model_says(self, pieces: list[str], at_once: bool) -> None:
        async def say() -> None:
            for piece in pieces:
                self.process.model.say(piece)
                if not at_once:
                    await settle()
            await settle()

        self.source += "".join(pieces)
        self.do(say())

    @rule(client=CLIENTS, cut_after=CUTS, in_header=st.booleans())
    def comes(self, client: int, cut_after: int | None, in_header: bool) -> None:
        self.do(self._come(client, cut_after, in_header))

    async def _come(self, client: int, cut_after: int | None, in_header: bool) -> None:
        await self._go(client)
        position = self.screens[client].position
        path = f"/api/runs/{self.run_id}/events"
        headers = {"last-event-id": str(position)} if in_header and position else {}
        query = "" if in_header else f"?after={position}"
        self.connections[client] = self._connect("GET", path + query, None, headers, cut_after)
        await settle()

    @rule(client=CLIENTS)
    def goes(self, client: int) -> None:
        self.do(self._go(client))

    async def _go(self, client: int) -> None:
        if connection := self.connections.pop(client, None):
            await connection.leave()
            self.screens[client].show(connection.events)

    @rule()
    def it_is_saved(self) -> None:
        self.do(self.process.container.executor().checkpoint())

    @rule(how=st.sampled_from(["finish", "fail", "cancel"]))
    @precondition(lambda self: self.live)
    def it_ends(self, how: str) -> None:
        self.live = False
        self.do(self._end(how))

    async def _end(self, how: str) -> None:
        match how:
            case "finish":
                self.process.model.finish()
            case "fail":
                self.process.model.say(UpstreamUnavailable())
            case "cancel":
                assert (await self.process.ask("POST", f"/api/runs/{self.run_id}/cancel")).status == 202
        await settle()

    @rule()
    def the_process_dies_and_another_begins(self) -> None:
        self.live = False
        self.do(self._die())

    async def _die(self) -> None:
        for client in list(self.connections):
            await self._go(client)
        self.process = Process(self.store)
        await self.process.begin()

    @invariant()
    def nobody_has_seen_what_was_not_said(self) -> None:
        for screen in self.screens:
            assert self.source.startswith(screen.text)

    def teardown(self) -> None:
        try:
            if hasattr(self, "run_id"):
                self.do(self._see_the_end())
        finally:
            self.runner.close()

    async def _see_the_end(self) -> None:
        if self.live:
            await self._end("finish")
        stored = json.loads((await self.process.ask("GET", f"/api/runs/{self.run_id}")).body)
        self.screens.append(Screen())
        for client, screen in enumerate(self.screens):
            await self._come(client, None, True)
            last = self.connections[client]
            await self._go(client)
            assert last.status == (200 if screen.terminals and last.events else 204)
            assert (screen.text, screen.parts) == (stored["text"], stored["parts"])
            assert [event["type"] for event in screen.terminals] == [f"run.{stored['status']}"]
        if stored["status"] == "completed":
            assert stored["text"] == self.source


def test_whoever_leaves_at_any_byte_and_comes_back_sees_the_stored_text_and_one_end():
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=size(15, 1000), stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


class HistoriesOfParts(Histories):
    """In which the model says more than text: one part after the other, and the last may stay open."""

    def __init__(self) -> None:
        super().__init__()
        self.kind: PartKind | None = PartKind.TEXT
        self.parts = 0

    @rule(kind=st.sampled_from([PartKind.REASONING, PartKind.TEXT, PartKind.TOOL_CALL, PartKind.SOURCE]))
    @precondition(lambda self: self.live)
    def a_part_begins(self, kind: PartKind) -> None:
        self._say(*self._ended(), PartStart(kind, HEADS.get(kind, {})))
        self.kind, self.parts = kind, self.parts + 1

    @rule()
    @precondition(lambda self: self.live and self.parts and self.kind)
    def the_part_ends(self) -> None:
        self._say(*self._ended())
        self.kind = None

    @rule(pieces=PIECES, at_once=st.booleans())
    @precondition(lambda self: self.live and self.kind not in (None, PartKind.SOURCE))
    def the_model_says(self, pieces: list[str], at_once: bool) -> None:
        before = self.source
        super().the_model_says(pieces, at_once)
        if self.kind is not PartKind.TEXT:
            self.source = before

    def _ended(self) -> list[PartEnd]:
        return [PartEnd()] if self.parts and self.kind else []

    def _say(self, *said: PartStart | PartEnd) -> None:
        self.process.model.say(*said)
        self.do(settle())


def test_whoever_leaves_at_any_byte_and_comes_back_has_all_parts_that_are_stored():
    run_state_machine_as_test(
        HistoriesOfParts,
        settings=settings(
            max_examples=size(6, 1000), stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


# -- over real sockets


async def test_over_sockets_cut_by_fin_or_rst_at_any_byte_the_text_is_whole(server: Server, upstream: Upstream):
    pieces = [f"wört{i} 😀\n" for i in range(60)]
    model = upstream.model(text(*pieces, every=0.005), finish(), usage(), done())
    chance = random.Random(1)
    async with calling(server) as alice:
        histories = [History(alice, model, random.Random(chance.random())) for _ in range(size(20, 400))]
        for some in batches(histories, 40):
            await asyncio.gather(*(history.live_through() for history in some))
    assert {history.screen.text for history in histories} == {"".join(pieces)}
    assert all(history.screen.terminals[0]["type"] == "run.completed" for history in histories)
    assert sum(history.cuts for history in histories) > 3 * len(histories)


class History:
    """A client with a bad network. It sends its message again, with the same key, until it knows its run."""

    def __init__(self, caller: Caller, model: str, chance: random.Random) -> None:
        self.screen = Screen()
        self.cuts = 0
        self._caller, self._model, self._chance = caller, model, chance
        self._key = str(chance.random())
        self._run_id: str | None = None

    async def live_through(self) -> None:
        while not self.screen.terminals:
            stream = await self._connect()
            await stream.ended()
            self.screen.show(stream.events)
            if stream.status:
                assert stream.status == 200, stream.body
                self._run_id = stream.run_id
            self.cuts += not stream.complete
        stored = await self._caller.run(self._run_id or "")
        assert (stored["text"], stored["status"]) == (self.screen.text, "completed")

    async def _connect(self) -> Exchange:
        network = {"cut_after": self._chance.randint(0, 1500), "how": self._chance.choice(["fin", "rst"])}
        if self._run_id is None:
            return await self._caller.say("Hi", key=self._key, model=self._model, **network)
        return await self._caller.follow(self._run_id, self.screen.position or None, **network)


async def test_a_run_long_ended_is_told_from_any_position_and_nothing_after_its_end(server: Server, upstream: Upstream):
    model = upstream.model(text("Grüße, ", "Welt 😀!"), finish(), usage(), done())
    async with calling(server) as alice:
        told = await (await alice.say("Hi", model=model)).ended()
        for position in range(told.position + 1):
            again = await (await alice.follow(told.run_id, position)).ended()
            if position == told.position:
                assert (again.status, again.events) == (204, [])
            else:
                assert again.text == told.text[max(position - 1, 0) :]
                assert again.terminals == told.terminals
        assert (await (await alice.follow(told.run_id, 10**15)).ended()).status == 204
