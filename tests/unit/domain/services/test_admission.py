"""Who may open a run now: all rules are asked, and what was taken is given back."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.errors import Draining, ThreadBusy, TooMany, TooManyRequests, TooManyRuns
from chatorch.domain.model.identity import Principal
from chatorch.domain.services import Admission, RetryChat, Runs, UserCap
from chatorch.ports.admission import AdmissionRule, RunRequest
from tests.support.app import ALICE, BOB, GUEST, Chat
from tests.support.fakes import Pause, ScriptedChatModel, settle

REQUEST = RunRequest("a-model", 2)


@dataclass
class Places(AdmissionRule):
    """So many at once, of all together; `cap` is for the store. `pause` holds up whoever is asked for."""

    most: int = 1000
    cap: LiveRunCap | None = None
    pause: Pause | None = None
    failure: Exception | None = None
    taken: int = 0
    requests: list[RunRequest] = field(default_factory=list)

    async def admit(self, principal: Principal, request: RunRequest, place: ExitStack) -> LiveRunCap | None:
        self.requests.append(request)
        if self.pause is not None:
            await self.pause.hold()
        if self.failure is not None:
            raise self.failure
        if self.taken >= self.most:
            raise TooMany("No place left.")
        self.taken += 1
        place.callback(self._give_back)
        return self.cap

    def _give_back(self) -> None:
        self.taken -= 1


@pytest.mark.parametrize("failure", [TooManyRequests(), RuntimeError()])
async def test_where_a_later_rule_refuses_the_earlier_ones_get_back_what_they_gave(failure: Exception) -> None:
    first, last = Places(), Places(failure=failure)
    with pytest.raises(type(failure)):
        await Admission([first, Places(), last]).admit(ALICE, REQUEST)
    assert first.taken == 0


async def test_the_tightest_cap_counts_and_without_any_there_is_none() -> None:
    caps = [Places(cap=LiveRunCap(3)), Places(), UserCap(2), Places(cap=LiveRunCap(5))]
    assert (await Admission(caps).admit(ALICE, REQUEST)).cap == LiveRunCap(2)
    assert (await Admission([Places()]).admit(ALICE, REQUEST)).cap is None
    assert (await Admission([]).admit(ALICE, REQUEST)).cap is None
    assert (await Admission([UserCap(2)]).admit(GUEST, REQUEST)).cap is None


async def test_a_place_is_kept_until_the_run_has_ended() -> None:
    pause = Pause()
    places = Places(most=1)
    chat = Chat(ScriptedChatModel("Hel", pause), rules=[places])
    run = await chat.start()
    await pause.reached()
    with pytest.raises(TooMany):
        await chat.start(who=BOB)
    pause.go_on()
    await chat.heard(run)
    await settle()
    assert places.taken == 0


async def test_what_the_store_refuses_or_had_before_keeps_no_place() -> None:
    pause = Pause()
    places = Places()
    chat = Chat(ScriptedChatModel("Hel", pause), rules=[places])
    run = await chat.start(idempotency_key="k")
    assert (await chat.start(idempotency_key="k")).id == run.id
    with pytest.raises(ThreadBusy):
        await chat.start(thread_id=run.thread_id)
    chat.store.runs._state.available = False
    with pytest.raises(Exception, match="database"):
        await chat.start()
    assert places.taken == 1


async def test_who_goes_away_while_a_rule_thinks_has_asked_for_nothing_and_a_drain_does_not_wait() -> None:
    pause, places = Pause(), Places()
    chat = Chat(rules=[places, Places(pause=pause)])
    asking = asyncio.ensure_future(chat.start())
    await pause.reached()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (places.taken, chat.store.runs._state.runs) == (0, {})
    async with asyncio.timeout(5):
        await chat.executor.drain(3600)


async def test_a_drain_waits_for_who_is_being_admitted() -> None:
    pause = Pause()
    chat = Chat(rules=[Places(pause=pause)])
    asking = asyncio.ensure_future(chat.start())
    await pause.reached()
    draining = asyncio.ensure_future(chat.executor.drain(60))
    await settle()
    assert not draining.done()
    with pytest.raises(Draining):
        await chat.start()
    pause.go_on()
    await chat.heard(await asking)
    await draining


async def test_a_rule_is_told_what_is_asked_for() -> None:
    places = Places()
    chat = Chat(rules=[places])
    run = await chat.start("Hello!")
    await chat.heard(run)
    await settle()
    await chat.runs.retry(ALICE, RetryChat(run.id))
    assert places.requests == [RunRequest("a-model", 6), RunRequest("a-model", 0)]


async def test_a_cap_holds_in_the_store_however_many_open_one_at_once_and_for_retries() -> None:
    pauses = [Pause() for _ in range(20)]
    model = ScriptedChatModel("a", pauses[0])
    for pause in pauses[1:]:
        model.then("a", pause)
    store, rules = MemoryStore(), [UserCap(10), Places(cap=LiveRunCap(3))]
    chats = [Chat(model, store=store, rules=rules) for _ in range(2)]
    asked = [chat.start() for chat in chats for _ in range(10)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert len([result for result in results if isinstance(result, TooManyRuns)]) == 17
    assert len([run async for run in _live(chats[0].runs, results)]) == 3


async def _live(runs: Runs, results: list):
    for result in results:
        if not isinstance(result, Exception) and (await runs.read(ALICE, result.id)).status.live:
            yield result
