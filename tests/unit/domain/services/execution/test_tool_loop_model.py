"""A model check of turns with tools: random models and tools, and workers that die, sleep and wake at random.

What is checked is what a user, an operator and a provider would notice, after each history.
"""

import asyncio
from collections import Counter

from chatorch.domain.model.call_answers import CallDecision, CallOutput
from chatorch.domain.model.calls import calls_in, results_in, waits_for_client
from chatorch.domain.model.content import Draft
from chatorch.domain.model.errors import ChatorchError
from chatorch.domain.model.identity import User
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import TERMINAL_EVENTS, Run, RunStarted, RunStatus, Silence
from chatorch.domain.services.commands import AnswerCalls
from tests.support.app import ALICE
from tests.support.sizes import size
from tests.support.tool_world import ASKING, World


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
    # What its user stopped is taken over once more, to be ended: its model is not asked.
    assert stored.attempts <= (4 if status is RunStatus.CANCELLED else 3)
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
