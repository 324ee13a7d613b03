"""Random turns with tools over workers that die: what happens, and what must never be seen to have happened."""

import json
import random
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.adapters.memory.tools import MemoryTools
from chatorch.domain.model.calls import results_in
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import RunStatus
from chatorch.domain.model.upstream_errors import UpstreamUnavailable
from chatorch.domain.services.execution.tool_calls import ToolLimits
from chatorch.ports.chat_model import ChatModel, Finish, PartEnd, PartStart, Piece, Prompt
from chatorch.ports.tools import ToolContext, ToolError, ToolOutput, ToolProgress
from tests.support.fakes import PROVIDER_USAGE, FakeClock, settle
from tests.support.mortal import Life, MortalWorker
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
        return MortalWorker(life, RandomModel(self, life), tools, self.store, self.clock, self.look, tool_limits=limits)

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


class RandomModel(ChatModel):
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
