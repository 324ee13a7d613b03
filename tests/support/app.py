"""The domain on fakes: what an embedding application would build, with everything in the test's hands."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from chatorch.adapters.memory.connections import MemoryConnections
from chatorch.adapters.memory.run_control import MemoryRunControl
from chatorch.adapters.memory.run_log import MemoryRunLog
from chatorch.adapters.memory.stores import MemoryStore
from chatorch.adapters.system import TaskSpawner, TimeOrderedIds
from chatorch.domain.model.context import ContextWindow
from chatorch.domain.model.conversation import NewMessage, Role
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.identity import Principal, Scope, UserId
from chatorch.domain.model.policy import ChatPolicy
from chatorch.domain.model.run import TERMINAL_EVENTS, Run, RunEvent, Silence
from chatorch.domain.model.tool_policy import ToolPolicy
from chatorch.domain.model.tools import ToolUse
from chatorch.domain.services import (
    Admission,
    Conversations,
    Executor,
    ExecutorSettings,
    GuestAdmission,
    LeaseReaper,
    Runs,
    StartChat,
    TakeoverLimits,
    Takeovers,
    UserCap,
)
from chatorch.domain.services.execution.tool_calls import ToolLimits
from chatorch.domain.services.execution.tool_loop import ToolLoop
from chatorch.domain.services.toolbox import Toolbox
from chatorch.ports.admission import AdmissionRule
from chatorch.ports.execution_store import RunEnd
from chatorch.ports.telemetry import RunTelemetry, ToolTelemetry
from chatorch.ports.tools import Tools
from tests.support.fakes import FakeClock, ScriptedChatModel

ALICE = Principal(UserId("usr_alice"), "alice", frozenset({Scope.CHAT}))
BOB = Principal(UserId("usr_bob"), "bob", frozenset({Scope.CHAT}))
GUEST = Principal(UserId("gst_1"), "guest", frozenset({Scope.CHAT}), guest=True)
NONE_TAKEN = TakeoverLimits(within_s=0)
WINDOW = ContextWindow(10_000, "Be brief.")


class RecordingTelemetry(RunTelemetry, ToolTelemetry):
    def __init__(self) -> None:
        self.endings: list[RunEnd] = []
        self.lost_runs: list[Run] = []
        self.interruptions: list[int] = []
        self.takeovers: list[Run] = []
        self.failures: list[str] = []
        self.outages: list[str] = []
        self.uses: list[ToolUse] = []

    def started(self, run: Run) -> None: ...

    def ended(self, run: Run, ending: RunEnd, pieces: int) -> None:
        self.endings.append(ending)

    def lost(self, run: Run) -> None:
        self.lost_runs.append(run)

    def interrupted(self, count: int, reason: str) -> None:
        self.interruptions.append(count)

    def taken_over(self, run: Run) -> None:
        self.takeovers.append(run)

    def called(self, use: ToolUse, cause: BaseException | None) -> None:
        self.uses.append(use)

    def failed(self, what: str, error: BaseException) -> None:
        self.failures.append(what)

    def store_unavailable(self, what: str, error: StoreUnavailable) -> None:
        self.outages.append(what)


@dataclass
class Chat:
    """One process's services over a store that may be shared with another `Chat`."""

    model: ScriptedChatModel = field(default_factory=ScriptedChatModel)
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: FakeClock = field(default_factory=FakeClock)
    policy: ChatPolicy = field(default_factory=lambda: ChatPolicy("a-model"))
    context: ContextWindow = WINDOW
    grace_s: float = 30.0
    max_live_runs: int = 8
    max_answer_chars: int = 1_000_000
    rules: Sequence[AdmissionRule] = ()
    takeover_limits: TakeoverLimits = NONE_TAKEN
    tools: Sequence[Tools] = ()
    tool_policy: ToolPolicy = field(default_factory=ToolPolicy)
    tool_limits: ToolLimits = field(default_factory=ToolLimits)

    def __post_init__(self) -> None:
        self.telemetry = RecordingTelemetry()
        self.spawner = TaskSpawner()
        self.log = MemoryRunLog(silence_s=0.02)
        self.run_control = MemoryRunControl()
        self.connections = MemoryConnections(most=100)
        self.toolbox = Toolbox(self.tools, self.tool_policy)
        self.executor = Executor(
            model=ToolLoop(
                self.model,
                self.toolbox,
                calls=self.store.calls,
                clock=self.clock,
                telemetry=self.telemetry,
                limits=self.tool_limits,
            ),
            log=self.log,
            execution_store=self.store.execution_store,
            run_control=self.run_control,
            clock=self.clock,
            spawner=self.spawner,
            telemetry=self.telemetry,
            settings=ExecutorSettings(1.0, self.grace_s, self.max_answer_chars),
        )
        self.runs = Runs(
            store=self.store.runs,
            client_refs=self.store.threads,
            calls=self.store.calls,
            log=self.log,
            run_control=self.run_control,
            connections=self.connections,
            executor=self.executor,
            clock=self.clock,
            ids=TimeOrderedIds(),
            policy=self.policy,
            context=self.context,
            admission=Admission(self.rules or [GuestAdmission(self.clock), UserCap(self.max_live_runs)]),
        )
        self.conversations = Conversations(
            empty_threads=self.store.threads,
            run_control=self.run_control,
            store=self.store.threads,
            client_refs=self.store.threads,
            log=self.log,
            runs=self.runs,
            executor=self.executor,
            clock=self.clock,
        )
        self.takeovers = Takeovers(
            users=self.store.users,
            execution_store=self.store.execution_store,
            run_control=self.run_control,
            executor=self.executor,
            context=self.context,
            clock=self.clock,
            telemetry=self.telemetry,
            limits=self.takeover_limits,
        )
        self.lease_reaper = LeaseReaper(
            takeovers=self.takeovers,
            execution_store=self.store.execution_store,
            run_control=self.run_control,
            clock=self.clock,
            telemetry=self.telemetry,
            lease_s=5.0,
            executed_here=self.executor.executes,
            heartbeats_fail=self.executor.heartbeats_fail,
        )

    async def start(self, text: str = "Hi", who: Principal = ALICE, **more: object) -> Run:
        return await self.runs.start(who, StartChat((NewMessage(Role.USER, text),), **more))

    async def heard(self, run: Run, after: int = 0) -> list[RunEvent]:
        """All events until the terminal one, bounded in time."""
        async with asyncio.timeout(5):
            return [event async for event in self.runs.events(run, after) if not isinstance(event, Silence)]

    async def ended(self, run: Run) -> Run:
        """The stored run once it has ended, bounded in time."""
        await self.heard(run)
        return await self.runs.read(ALICE, run.id)


@asynccontextmanager
async def following(chat: Chat, run: Run, after: int = 0) -> AsyncIterator[asyncio.Task[list[RunEvent]]]:
    """Follows in the background from before the block begins; the task's result is `heard`'s."""
    task = asyncio.ensure_future(chat.heard(run, after))
    await asyncio.sleep(0)
    try:
        yield task
    finally:
        task.cancel()


def text_of(events: list[RunEvent]) -> str:
    """What a client shows: deltas append, snapshots replace."""
    shown = ""
    for event in events:
        match event:
            case _ if isinstance(event, TERMINAL_EVENTS):
                return shown
            case _ if type(event).__name__ == "Snapshot":
                shown = event.text
            case _ if type(event).__name__ == "PartDelta":
                shown += event.text
    return shown
