"""A model check of turns with tools: random models and tools, and workers that die, sleep and wake at random.

What is checked is what a user, an operator and a provider would notice, after each history.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.adapters.memory.tools import MemoryTools
from chatorch.domain.model.call_answers import CallDecision, CallOutput
from chatorch.domain.model.calls import calls_in, results_in, waits_for_client
from chatorch.domain.model.content import Content, Draft
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import ChatorchError
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.identity import User
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import TERMINAL_EVENTS, Run, RunStarted, RunStatus, Silence
from chatorch.domain.model.upstream_errors import UpstreamUnavailable
from chatorch.domain.services.commands import AnswerCalls
from chatorch.domain.services.execution.tool_calls import ToolLimits
from chatorch.ports.chat_model import ChatModel, Finish, PartEnd, PartStart, Piece, Prompt
from chatorch.ports.tools import ToolContext, ToolError, ToolOutput, ToolProgress
from tests.support.app import ALICE
from tests.support.fakes import PROVIDER_USAGE, FakeClock, settle
from tests.support.mortal import Life, MortalWorker
from tests.support.sizes import size
from tests.support.strict import calls_objection
from tests.support.turns import tool

WORKERS = 3
CLIENTS = ({"name": "on_client", "parameters": {"type": "object"}},)
NAMES = ("once", "once", "idempotent", "approved", "on_client", "nobody_has_it")
ASKING = Generation(tools=CLIENTS)


class World:
    """One history: what is true of it whoever lives."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.begun: Counter[str] = Counter()
        self.keys: dict[str, set[str]] = {}
        self.kept: dict[RunId, dict[str, Part]] = {}
        self.ended: dict[RunId, tuple[RunStatus, Content]] = {}
        self.objections: list[str] = []
        self.kills = self.calls = 0
        self.quiet = False
        self.workers = [self.worker() for _ in range(WORKERS)]
        self.gone: list[MortalWorker] = []

    def worker(self) -> MortalWorker:
        """Many do not live for long."""
        life = Life(self.chance, self.clock)
        tools = MemoryTools(
            (tool("once"), self._tool(life, "once")),
            (tool("idempotent", idempotent=True), self._tool(life, "idempotent")),
            (tool("approved", needs_approval=True), self._tool(life, "approved")),
        )
        if not self.quiet and self.chance.random() < 0.5:
            life.steps_left = self.chance.randrange(1, 60)
        limits = ToolLimits(max_steps=4, at_once=2)
        return MortalWorker(life, _Model(self, life), tools, self.store, self.clock, self.look, tool_limits=limits)

    def _tool(self, life: Life, name: str) -> Any:
        async def carry_out(
            arguments: Mapping[str, Any], context: ToolContext
        ) -> AsyncGenerator[ToolProgress | ToolOutput]:
            self.begun[f"{name} {context.idempotency_key}"] += 1
            self.keys.setdefault(context.idempotency_key, set()).add(f"{name} {arguments['n']}")
            await life.step()
            if self.chance.random() < 0.2:
                yield ToolProgress(arguments["n"])
                await life.step()
            if self.chance.random() < 0.2:
                raise ToolError(f"no {arguments['n']}")
            yield ToolOutput(f"{name} {arguments['n']}")

        return carry_out

    def look(self) -> None:
        """After each transaction: what is kept stays, and what has ended is over."""
        for run_id, record in self.store.state.runs.items():
            run = record.run
            if run_id in self.ended:
                assert self.ended[run_id] == (run.status, run.content), "it went on after its end"
                continue
            results = results_in(run.content.parts)
            for call_id, result in self.kept.setdefault(run_id, {}).items():
                assert results.get(call_id) == result, "a result was lost"
            made = {id_: part for id_, part in results.items() if part.head["status"] != "not_executed"}
            self.kept[run_id] |= made
            if not run.status.live:
                self.ended[run_id] = run.status, run.content

    def somebody(self) -> MortalWorker | None:
        awake = [worker for worker in self.workers if worker.life.awake]
        return self.chance.choice(awake) if awake else None

    # -- what happens ----------------------------------------------------------------------------------------------

    def trouble(self) -> None:
        worker = self.chance.choice(self.workers)
        match self.chance.randrange(10):
            case 0 | 1 | 2:
                worker.life.steps_left = self.chance.randrange(1, 25)
            case 3:
                worker.life.sleep()
            case 4 | 5:
                for each in (*self.workers, *self.gone):
                    each.life.wake()
            case 6:
                worker.store.outages = self.chance.choice((0.0, 0.3))

    def replace_the_dead(self) -> None:
        for place, worker in enumerate(self.workers):
            if worker.life.dead:
                self.kills += 1
                self.gone.append(worker)
                self.workers[place] = self.worker()

    def calm_down(self) -> None:
        self.quiet = True
        self.replace_the_dead()
        for worker in self.workers:
            worker.life.steps_left, worker.store.outages = None, 0.0
            worker.life.wake()

    async def pass_time(self) -> None:
        await self.clock.advance(1)
        await settle()
        if not self.quiet:
            if self.chance.random() < 0.5:
                self.trouble()
            self.replace_the_dead()


class _Model(ChatModel):
    def __init__(self, world: World, life: Life) -> None:
        self._world = world
        self._life = life

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        world, chance = self._world, self._world.chance
        self._object(prompt)
        await self._life.step()
        if chance.random() < 0.05:
            raise UpstreamUnavailable
        if chance.random() < 0.5:
            yield chance.choice(("Hm. ", "Let me see. "))
            await self._life.step()
        for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
            world.calls += 1
            ident = chance.choice(("same", f"c{world.calls}"))
            yield PartStart(PartKind.TOOL_CALL, {"id": ident, "name": chance.choice(NAMES)})
            await self._life.step()
            yield json.dumps({"n": world.calls})
            yield PartEnd()
            await self._life.step()
        if chance.random() < 0.05:
            raise UpstreamUnavailable
        yield Finish(chance.choice(("stop", "tool_calls", "stop", "tool_calls", "length")), PROVIDER_USAGE)

    def _object(self, prompt: Prompt) -> None:
        told = [(m.role.value, [str(c.head["id"]) for c in m.calls], m.call_id) for m in prompt.messages]
        if (objection := calls_objection(told)) is not None:
            self._world.objections.append(f"{objection}: {told}")
        kept = {call_id: part.body for run in self._world.kept.values() for call_id, part in run.items()}
        calls = [call_id for _, ids, _ in told for call_id in ids]
        for message in prompt.messages:
            came = kept.get(message.call_id or "", message.content)
            if calls.count(message.call_id or "") == 1 and message.content != came:
                self._world.objections.append(f"not what came of {message.call_id}: {message.content}")

    async def aclose(self) -> None: ...


class Follower:
    """A client that goes to another worker whenever its own is gone."""

    def __init__(self, world: World, run: Run) -> None:
        self.draft = Draft()
        self.terminals: list[object] = []
        self.positions = [0]
        self._world, self._run = world, run
        self.task = asyncio.ensure_future(self._follow())

    async def _follow(self) -> None:
        while not self.terminals:
            worker = self._world.somebody()
            if worker is None:
                await asyncio.sleep(0.001)
                continue
            run = await worker.chat.runs.read(ALICE, self._run.id)
            async for event in worker.chat.runs.events(run, self.positions[-1]):
                if not worker.life.awake:
                    break
                if isinstance(event, Silence):
                    continue
                self.positions.append(event.seq)
                if isinstance(event, TERMINAL_EVENTS):
                    self.terminals.append(event)
                elif not isinstance(event, RunStarted):
                    self.draft.apply(event)
                else:
                    self.draft = Draft(base=event.seq - 1)


async def client(world: World) -> list[tuple[Run, Follower]]:
    """Says something, answers what it is asked, or says something else instead."""
    asked: list[tuple[Run, Follower]] = []
    thread_id = None
    for _ in range(5):
        if (worker := world.somebody()) is None:
            await world.pass_time()
            continue
        waiting = [] if thread_id is None else _waiting(world, asked[-1][0])
        try:
            if waiting and world.chance.random() < 0.8:
                run = await _answered(world, asked[-1][0], waiting)
            else:
                run = await worker.chat.start("Hi", thread_id=thread_id, generation=ASKING)
        except ChatorchError:
            await world.pass_time()
            continue
        thread_id = run.thread_id
        asked.append((run, Follower(world, run)))
        for _ in range(world.chance.choice((5, 40, 40))):
            if run.id in world.ended:
                break
            await world.pass_time()
            if world.chance.random() < 0.01 and (other := world.somebody()):
                await other.chat.runs.cancel(ALICE, run.id)
        if run.id not in world.ended:
            break
    return asked


def _waiting(world: World, run: Run) -> list[Part]:
    status, content = world.ended[run.id]
    answered = results_in(content.parts)
    calls = [call for call in calls_in(content.parts) if waits_for_client(call) and call.head["id"] not in answered]
    return calls if status is RunStatus.COMPLETED else []


async def _answered(world: World, run: Run, waiting: list[Part]) -> Run:
    """Twice at once, on two workers or the same: it is one run."""
    approve = world.chance.random() < 0.7
    answers = tuple(
        CallOutput(call.head["id"], "client's")
        if call.head["by"] == "client"
        else CallDecision(call.head["id"], approve)
        for call in waiting
    )
    workers = [worker for worker in (world.somebody(), world.somebody()) if worker]
    runs = await asyncio.gather(
        *(worker.chat.runs.answer_calls(ALICE, AnswerCalls(run.thread_id, answers)) for worker in workers)
    )
    assert len({each.id for each in runs}) == 1, "one decision opened two runs"
    return runs[0]


async def history(seed: int) -> int:
    """How many died in it."""
    world = World(seed)
    try:
        await check(world)
    finally:
        for worker in (*world.workers, *world.gone):
            worker.life.end()
    return world.kills


async def check(world: World) -> None:
    now = world.clock.now()
    await world.store.users.add(User(ALICE.user_id, ALICE.username, None, ALICE.scopes, False, now, now))
    asked = await client(world)
    world.calm_down()
    for _ in range(60):
        if all(run.id in world.ended for run, _ in asked):
            break
        await world.pass_time()
    for worker in world.gone:
        worker.life.wake()
    await world.pass_time()
    assert all(run.id in world.ended for run, _ in asked), "a run that somebody came back for has not ended"
    assert world.objections == []
    for key, times in world.begun.items():
        assert times == 1 or key.startswith("idempotent"), f"{key} was called {times} times"
    for key, called in world.keys.items():
        assert len(called) == 1, f"{called} have the key {key}"
    for run, follower in asked:
        _require_whole(world, run)
        async with asyncio.timeout(5):
            await follower.task
        assert len(follower.terminals) == 1
        if world.ended[run.id][0] is not RunStatus.INTERRUPTED:  # else it may have seen more than was stored
            assert follower.positions == sorted(set(follower.positions))
        assert follower.draft.content() == world.ended[run.id][1]


def _require_whole(world: World, run: Run) -> None:
    status, content = world.ended[run.id]
    stored = world.store.state.runs[run.id].run
    assert stored.attempts <= 3
    records = [record for record in world.store.interactions() if record.run_id == run.id]
    assert [record.status for record in records] == [status]
    results = Counter(part.head["call_id"] for part in content.parts if part.kind is PartKind.TOOL_RESULT)
    assert set(results.values()) <= {1}, "a result stands there twice"
    for call_id, result in world.kept[run.id].items():
        assert results_in(content.parts).get(call_id) == result, "a result was lost"
    if status is RunStatus.COMPLETED:
        ours = [call for call in calls_in(content.parts) if not waits_for_client(call)]
        assert all(call.head["id"] in results for call in ours), "nobody knows what came of a call, and nobody says so"


def test_whoever_dies_no_call_is_made_twice_no_result_is_lost_and_there_is_one_end():
    kills = 0
    seed = 0
    while kills < size(60, 1500):
        kills += asyncio.run(history(seed))
        seed += 1
