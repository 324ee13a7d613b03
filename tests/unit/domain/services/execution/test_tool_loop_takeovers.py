"""What becomes of calls whose worker dies, sleeps, or is no longer the one that a run belongs to."""

import asyncio
from dataclasses import replace

import pytest

from chatorch.adapters.memory.execution_store import MemoryExecutionStore
from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import Usage, UsageSource, estimate_tokens
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.identity import Scope, User
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import Run, RunStatus
from chatorch.domain.services import TakeoverLimits
from chatorch.domain.services.execution.tool_calls import ToolLimits
from tests.support.app import ALICE, Chat
from tests.support.fakes import PROVIDER_USAGE, Pause, ScriptedChatModel, settle
from tests.support.turns import ASKS, Handled, calling, handled

BOTH = frozenset({Scope.CHAT, Scope.ADMIN})
LIMITS = TakeoverLimits(within_s=300, at_once=20)


def worker(*tools: Handled, beside: Chat | None = None, **more: object) -> Chat:
    """Another one `beside` the first, over the same store."""
    shared = {} if beside is None else {"store": beside.store, "clock": beside.clock}
    return Chat(ScriptedChatModel(), takeover_limits=LIMITS, tools=[handled(*tools)], **shared, **more)


async def carried_on(chat: Chat, scopes: frozenset[Scope] = ALICE.scopes) -> None:
    """A lease and a look later, of a user that there still is: whose tools those are."""
    if await chat.store.users.by_id(ALICE.user_id) is None:
        now = chat.clock.now()
        await chat.store.users.add(User(ALICE.user_id, ALICE.username, None, scopes, False, now, now))
    for _ in range(7):
        await chat.lease_reaper.sweep()
        await chat.clock.advance(1)
    await chat.takeovers.take()
    await settle()


def results(content: Content) -> dict[str, tuple[str, str]]:
    return {
        part.head["call_id"]: (part.head["status"], part.body)
        for part in content.parts
        if part.kind is PartKind.TOOL_RESULT
    }


def keys(made: Handled) -> list[str]:
    return [context.idempotency_key for _, context in made.made]


async def half_done(*tools: Handled, waits: Pause) -> tuple[Chat, Run]:
    """A worker that dies with one of two calls done: what came of "quick" is stored, of "slow" nothing."""
    dead = worker(*tools)
    dead.model.then(*calling("quick", "a"), *calling("slow", "b"), ASKS)
    run = await dead.start("Hi")
    await waits.reached()
    await settle()
    return dead, run


async def test_a_call_that_is_made_again_has_the_key_that_it_had_and_not_another_ones():
    pause = Pause()
    quick, slow = Handled("quick", "1"), Handled("slow", "2", pause, about={"idempotent": True})
    dead, run = await half_done(quick, slow, waits=pause)
    again = Handled("slow", "2", about={"idempotent": True})
    other = worker(quick, again, beside=dead)
    await carried_on(other)
    ended = await other.ended(run)
    assert results(ended.content) == {"a": ("completed", "1"), "b": ("completed", "2")}
    assert (len(quick.made), keys(again)) == (1, keys(slow))
    assert keys(quick) != keys(slow)


async def test_the_record_has_the_calls_of_all_attempts():
    pause = Pause()
    quick, slow = Handled("quick", "1"), Handled("slow", "2", pause)
    dead, run = await half_done(quick, slow, waits=pause)
    other = worker(quick, slow, beside=dead)
    await carried_on(other)
    await other.ended(run)
    [record] = other.store.interactions()
    told = [(use.name, use.status.value, use.duration_ms) for use in record.tools]
    assert told == [("quick", "completed", None), ("slow", "unknown", 0)]


async def test_no_two_calls_of_a_run_have_one_key_whoever_makes_them():
    pause = Pause()
    quick, slow = Handled("quick", "1"), Handled("slow", "2", pause, about={"idempotent": True})
    dead, run = await half_done(quick, slow, waits=pause)
    again = Handled("slow", "2", about={"idempotent": True})
    other = worker(quick, again, beside=dead)
    other.model.then(*calling("quick", "c"), ASKS)
    other.model.then("Done.")
    await carried_on(other)
    assert (await other.ended(run)).status is RunStatus.COMPLETED
    assert [*keys(quick), *keys(again)] == [f"{run.id}:1", f"{run.id}:3", f"{run.id}:2"]


@pytest.mark.parametrize("busy", [False, True])
async def test_one_that_wakes_up_makes_no_calls_of_a_run_that_is_another_ones(busy: bool):
    """Nor where a round of checkpoints is under way that tells it so."""
    once = Handled("once", "1")
    pause = Pause()
    asleep = worker(once)
    asleep.model.then(*calling("once"), pause, ASKS)
    run = await asleep.start("Hi")
    await pause.reached()
    other = worker(once, beside=asleep)
    other.model.then(*calling("once"), ASKS)
    other.model.then("Done.")
    await carried_on(other)
    assert (await other.ended(run)).text == "Done."
    pause.go_on()
    if busy:
        await asyncio.gather(asleep.executor.checkpoint(), settle())
    await settle()
    assert len(once.made) == 1
    assert (len(asleep.telemetry.lost_runs), asleep.telemetry.endings) == (1, [])


async def test_one_that_its_user_has_stopped_elsewhere_makes_no_calls():
    once = Handled("once", "1")
    pause = Pause()
    one = worker(once)
    one.model.then(*calling("once"), pause, ASKS)
    run = await one.start("Hi")
    await pause.reached()
    await one.store.runs.request_cancel(ALICE.user_id, run.id)
    pause.go_on()
    ended = await one.ended(run)
    assert (ended.status, once.made) == (RunStatus.CANCELLED, [])


@pytest.mark.parametrize(
    ("had", "has", "offered"),
    [(BOTH, BOTH, ["open", "secret"]), (BOTH, ALICE.scopes, ["open"]), (ALICE.scopes, BOTH, ["open"])],
    ids=["of an admin", "of one who is none any more", "by a token for chatting"],
)
async def test_tools_of_admins_are_offered_where_the_credential_allowed_them_and_its_user_still_may(
    had: frozenset[Scope], has: frozenset[Scope], offered: list[str]
):
    tools, pause = (Handled("open"), Handled("secret", about={"scope": Scope.ADMIN})), Pause()
    dead = worker(*tools)
    dead.model.then("Half", pause)
    run = await dead.start("Hi", replace(ALICE, scopes=had))
    await pause.reached()
    other = worker(*tools, beside=dead)
    other.model.then("Done.")
    await carried_on(other, has)
    assert (await other.ended(run)).text == "Done."
    assert [tool.name for tool in other.model.calls[0].prompt.tools] == offered


async def test_steps_are_not_counted_anew():
    """However often it is taken over: the last step is the last one."""
    pauses = [Pause(), Pause()]
    again = Handled("again")
    limits = ToolLimits(max_steps=2)
    chat = worker(again, tool_limits=limits)
    chat.model.then(*calling("again"), ASKS)
    chat.model.then("Done", pauses[0])
    run = await chat.start("Hi")
    await pauses[0].reached()
    second = worker(again, beside=chat, tool_limits=limits)
    second.model.then(*calling("again"), pauses[1], ASKS)
    await carried_on(second)
    await pauses[1].reached()
    third = worker(again, beside=chat, tool_limits=limits)
    third.model.then(*calling("again"), ASKS)
    await carried_on(third)
    ended = await third.ended(run)
    assert ended.outcome is not None
    assert (ended.outcome.finish_reason, len(again.made), len(third.model.calls)) == ("length", 1, 1)
    assert third.model.calls[0].prompt.generation.tool_choice == "none"


class SlowStore(MemoryExecutionStore):
    """Takes what it is told at once, and is slow to say so while it is `slow`."""

    slow: Pause | None = None

    async def checkpoint(self, checkpoints, now=None):
        answer = await super().checkpoint(checkpoints, now)
        if self.slow is not None:
            await self.slow.hold()
        return answer


async def test_a_round_of_checkpoints_that_began_before_a_call_was_whole_does_not_stand_for_the_calls_own():
    """All that it saved may be what was there, but not that this stands: another worker would ask for the call anew."""
    store = MemoryStore()
    slow = store.execution_store = SlowStore(store.state)
    whole, once = Pause(), Handled("once", waits=Pause())
    chat = Chat(ScriptedChatModel(), store=store, takeover_limits=LIMITS, tools=[handled(once)])
    start, arguments, end = calling("once")
    chat.model.then(start, arguments, whole, end, ASKS)
    await chat.start("Hi")
    await whole.reached()
    slow.slow = held = Pause()
    saving = asyncio.ensure_future(chat.executor.checkpoint())
    await held.reached()
    whole.go_on()
    await settle()
    slow.slow = again = Pause()
    held.go_on()
    await saving
    await again.reached()
    assert once.made == []
    again.go_on()
    assert once.waits is not None
    await once.waits.reached()


async def test_steps_that_were_over_count_as_their_provider_said_whoever_finds_nothing_more_to_ask():
    """Since the run waits for its client."""
    pause = Pause()
    slow = Handled("slow", "2", pause)
    dead = worker(slow)
    dead.model.then("A long text. " * 50, *calling("slow", "a"), *calling("clients", "b"), ASKS)
    clients = Generation(tools=({"name": "clients", "parameters": {"type": "object"}},))
    run = await dead.start("Hi", generation=clients)
    await pause.reached()
    other = worker(Handled("slow"), beside=dead)
    await carried_on(other)
    ended = await other.ended(run)
    assert ended.outcome is not None
    assert (ended.outcome.finish_reason, other.model.calls) == ("tool_calls", [])
    assert ended.outcome.usage == PROVIDER_USAGE


async def test_of_the_step_that_a_worker_died_in_it_is_guessed_what_it_said_and_was_told():
    """Both times; what was over counts as its provider said."""
    pause, seen = Pause(), "seen " * 800
    dead = worker(Handled("look", seen))
    dead.model.then("A long text. " * 50, *calling("look", "a"), ASKS)
    dead.model.then(pause)
    run = await dead.start("Hi")
    await pause.reached()
    other = worker(Handled("look"), beside=dead)
    other.model.then("Hello", again := Pause())
    await carried_on(other)
    await again.reached()
    await other.runs.cancel(ALICE, run.id)
    ended = await other.ended(run)
    assert ended.outcome is not None
    assert ended.outcome.usage is not None
    guessed = replace(ended.outcome.usage, prompt_tokens=0, total_tokens=0)
    assert guessed == Usage(0, PROVIDER_USAGE.completion_tokens + estimate_tokens("Hello"), 0, UsageSource.ESTIMATED)
    told = ended.outcome.usage.prompt_tokens - PROVIDER_USAGE.prompt_tokens
    assert 2 * estimate_tokens(seen) < told < 3 * estimate_tokens(seen)
