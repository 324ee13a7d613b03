"""Whatever happens in a thread, what the model is asked next is acceptable, and holds what it should."""

import asyncio
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model import errors as e
from chatorch.domain.model.context import ContextWindow
from chatorch.domain.model.conversation import MessageId, NewMessage, Role, ThreadId
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.run import Run
from chatorch.domain.model.upstream_errors import (
    UpstreamInvalid,
    UpstreamModelUnknown,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from chatorch.domain.services.commands import AnswerAgain, RetryChat, StartChat
from chatorch.ports.chat_model import Finish
from tests.support.app import ALICE, Chat
from tests.support.fakes import FakeClock, Pause, Step, settle
from tests.support.sizes import size
from tests.support.strict import objection

OPERATOR = "Be brief."
ANSWER, REFUSE, NOTHING = "answer", "refuse", "nothing"


@dataclass
class Said:
    """One message as the test knows it. `text` holds a mark of its own, or is nothing that can be seen."""

    role: Role
    text: str
    id: str
    by_run: str | None = None
    refused: bool = False

    @property
    def answers(self) -> bool:
        return self.by_run is not None and self.seen

    @property
    def seen(self) -> bool:
        return "<" in self.text


@dataclass(frozen=True)
class Course:
    """How a run goes: the model's steps, where a `Pause` is followed by `then`; and what comes of it."""

    steps: tuple[Step, ...]
    comes_of_it: str
    then: str = ""


COURSES = [
    Course(("{}",), ANSWER),
    Course(("{}", " and {}"), ANSWER),
    Course(("{}", Finish("length", None)), ANSWER),
    Course(("{}", UpstreamUnavailable()), ANSWER),
    Course(("{}", UpstreamRejected()), ANSWER),
    Course(("{}", Finish("content_filter", None)), ANSWER),
    Course((Finish("stop", None),), NOTHING),
    Course((" \n",), NOTHING),
    Course((UpstreamUnavailable(),), NOTHING),
    Course((UpstreamTimeout(),), NOTHING),
    Course((UpstreamModelUnknown(),), NOTHING),
    Course((" ", UpstreamInvalid()), NOTHING),
    Course((ZeroDivisionError(),), NOTHING),
    Course((UpstreamRejected(),), REFUSE),
    Course(("\u200b", UpstreamRejected()), REFUSE),
    Course((Finish("content_filter", None),), REFUSE),
    Course((Pause(), "{}"), NOTHING, "cancel"),
    Course(("{}", Pause(), "never"), ANSWER, "cancel"),
    Course((Pause(), UpstreamRejected()), NOTHING, "taken over"),
    Course((Pause(), UpstreamRejected()), REFUSE, "store away"),
    Course((Pause(), "{}"), ANSWER, "store away"),
    Course((Pause(), "{}"), NOTHING, "stopped elsewhere"),
]
PLACES = st.integers(0, 1000)
SIZES = st.integers(0, 40)
OPENINGS = st.lists(st.tuples(st.sampled_from((Role.USER, Role.ASSISTANT, Role.SYSTEM)), SIZES), max_size=4)


class Histories(RuleBasedStateMachine):
    """Threads of one user, whose turns go every way that a run can go."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.do: Any = self.runner.run
        self.threads: dict[ThreadId, list[Said]] = {}
        self.runs: dict[ThreadId, list[Run]] = {}
        self.marks = 0
        self.asked = 0

    @initialize(limit=st.sampled_from([40, 150, 600, 10_000]), takes_neighbours=st.booleans())
    def a_process_begins(self, limit: int, takes_neighbours: bool) -> None:
        self.window = ContextWindow(limit, OPERATOR, takes_neighbours)
        self.do(self._begin())

    async def _begin(self) -> None:
        store, clock = MemoryStore(), FakeClock()
        self.chat = Chat(store=store, clock=clock, context=self.window)
        self.elsewhere = Chat(store=store, clock=clock)

    # -- what happens ------------------------------------------------------------------------------------------------

    @rule(opening=OPENINGS, chars=SIZES, course=st.sampled_from(COURSES))
    @precondition(lambda self: len(self.threads) < 3)
    def a_thread_is_opened(self, opening: list[tuple[Role, int]], chars: int, course: Course) -> None:
        said = [self._new(role, extra) for role, extra in (*opening, (Role.USER, chars))]
        self.do(self._turn(None, said, course))

    @rule(at=PLACES, extra=st.lists(SIZES, min_size=1, max_size=2), course=st.sampled_from(COURSES))
    @precondition(lambda self: self.threads)
    def a_turn_follows(self, at: int, extra: list[int], course: Course) -> None:
        self.do(self._turn(self._thread(at), [self._new(Role.USER, chars) for chars in extra], course))

    @rule(at=PLACES, which=PLACES, course=st.sampled_from(COURSES))
    @precondition(lambda self: self.threads)
    def a_run_is_retried(self, at: int, which: int, course: Course) -> None:
        thread_id = self._thread(at)
        runs = self.runs[thread_id]
        self.do(self._retry(thread_id, runs[which % len(runs)], course))

    @rule(at=PLACES, which=PLACES, course=st.sampled_from(COURSES))
    @precondition(lambda self: self.threads)
    def a_message_is_answered_again(self, at: int, which: int, course: Course) -> None:
        thread_id = self._thread(at)
        asked = [said for said in self.threads[thread_id] if said.role is Role.USER]
        if asked:
            self.do(self._again(thread_id, asked[which % len(asked)], course))

    @rule(at=PLACES, which=PLACES)
    @precondition(lambda self: self.threads)
    def a_message_is_taken_out(self, at: int, which: int) -> None:
        thread_id = self._thread(at)
        if said := self.threads[thread_id]:
            gone = said.pop(which % len(said))
            self.do(self.chat.store.thread_items.remove_item(ALICE.user_id, thread_id, gone.id))

    @rule(at=PLACES)
    @precondition(lambda self: len(self.threads) > 1)
    def a_thread_is_deleted(self, at: int) -> None:
        thread_id = self._thread(at)
        del self.threads[thread_id], self.runs[thread_id]
        self.do(self.chat.conversations.delete(ALICE, thread_id))

    # -- how a run goes ----------------------------------------------------------------------------------------------

    async def _turn(self, thread_id: ThreadId | None, said: list[Said], course: Course) -> None:
        new = tuple(NewMessage(each.role, each.text) for each in said)
        play = self._played(course)
        run = await self.chat.runs.start(ALICE, StartChat(new, thread_id))
        history = self.threads.setdefault(run.thread_id, [])
        history += said
        for each, message_id in zip(said, await self._new_ids(run, len(said)), strict=True):
            each.id = message_id
        await self._carried_out(run, history, course, play)

    async def _retry(self, thread_id: ThreadId, earlier: Run, course: Course) -> None:
        history = self.threads[thread_id]
        if not any(said.id == earlier.user_message_id for said in history):
            with pytest.raises(e.RunSuperseded):
                await self.chat.runs.retry(ALICE, RetryChat(earlier.id))
            return
        play = self._played(course)
        run = await self.chat.runs.retry(ALICE, RetryChat(earlier.id))
        await self._carried_out(run, self._cut_back(history, earlier.user_message_id), course, play)

    async def _again(self, thread_id: ThreadId, question: Said, course: Course) -> None:
        play = self._played(course)
        again = AnswerAgain(thread_id, MessageId(question.id), self.chat.runs.allot())
        run = await self.chat.runs.answer_again(ALICE, again)
        await self._carried_out(run, self._cut_back(self.threads[thread_id], question.id), course, play)

    def _cut_back(self, history: list[Said], message_id: str) -> list[Said]:
        at = next(place for place, said in enumerate(history) if said.id == message_id)
        del history[at + 1 :]
        history[at].refused = False
        return history

    def _played(self, course: Course) -> tuple[Step, ...]:
        """The steps with a mark of their own in what is said, and a pause of their own."""
        self.marks += 1
        mark = f"<{self.marks}>"
        play = tuple(
            Pause() if isinstance(step, Pause) else step.replace("{}", mark) if isinstance(step, str) else step
            for step in course.steps
        )
        self.chat.model.then(*play)
        return play

    async def _carried_out(self, run: Run, history: list[Said], course: Course, play: tuple[Step, ...]) -> None:
        self.asked += 1
        await self.chat.model.called(self.asked)
        self.check(history)
        self.runs.setdefault(run.thread_id, []).append(run)
        pause = next((step for step in play if isinstance(step, Pause)), None)
        if pause is not None:
            await pause.reached()
            await self._meanwhile(run, pause, course.then)
        await self.chat.executor.ended(run.id, 5)
        stored = await self.chat.runs.read(ALICE, run.id)
        assert not stored.status.live
        history[-1].refused = course.comes_of_it == REFUSE
        history.append(Said(Role.ASSISTANT, stored.text, run.message_id, by_run=run.id))
        assert history[-1].answers is (course.comes_of_it == ANSWER)

    async def _meanwhile(self, run: Run, pause: Pause, what: str) -> None:
        store = self.chat.store
        match what:
            case "cancel":
                await self.chat.runs.cancel(ALICE, run.id)
            case "stopped elsewhere":
                await self.elsewhere.runs.cancel(ALICE, run.id)
                await self.chat.executor.checkpoint()
            case "taken over":
                await store.execution_store.interrupt(await store.execution_store.live_runs(), self.chat.clock.now())
                pause.go_on()
            case "store away":
                store.available = False
                pause.go_on()
                await settle()
                store.available = True
                await self.chat.clock.advance(3)

    # -- what must hold ----------------------------------------------------------------------------------------------

    def check(self, history: list[Said]) -> None:
        """Of the prompt of a run for the last message of `history`."""
        prompt = self.chat.model.calls[-1].prompt.messages
        told = [{"role": message.role, "content": message.content} for message in prompt]
        assert objection(told, neighbours=self.window.takes_neighbours) is None, told
        assert prompt[0].role is Role.SYSTEM
        assert prompt[0].content.split("\n\n")[0] == OPERATOR
        assert prompt[-1].content == history[-1].text or prompt[-1].content.endswith(f"\n\n{history[-1].text}")
        out = "\n".join(message.content for message in prompt)
        there = [said for said in history if said.seen and said.text in out]
        assert not [said for said in there if said.refused], "what was refused is not sent again"
        chars = sum(len(said.text) for said in there)
        assert chars <= max(self.window.max_chars, len(history[-1].text))
        room = self.window.max_chars - len(history[-1].text)
        for first in takewhile(lambda said: said.role is Role.SYSTEM, history):
            room -= len(first.text)
            assert room < 0 or first in there, "what a thread begins with stays"
        for place, said in enumerate(history):
            if self._must_be_there(history, place):
                assert said in there, (said, told)

    def _must_be_there(self, history: list[Said], place: int) -> bool:
        """What was answered, the answer, and what failed for no fault of its own; as long as it fits."""
        said, behind = history[place], history[place + 1 :]
        if said.refused or not said.seen:
            return False
        rules = [each for each in history[:place] if each.role is Role.SYSTEM]
        if sum(len(each.text) for each in (*rules, said, *behind)) > self.window.max_chars:
            return False
        if said.role is Role.SYSTEM:
            return True
        if said.role is Role.ASSISTANT:
            asked = [at for at in range(place) if history[at].role is Role.USER]
            return bool(asked) and self._must_be_there(history, asked[-1]) and said.answers
        answered = next((at for at, each in enumerate(behind) if each.answers), len(behind))
        return sum(each.refused for each in behind[:answered]) < 2

    def teardown(self) -> None:
        self.runner.close()

    def _thread(self, at: int) -> ThreadId:
        return list(self.threads)[at % len(self.threads)]

    def _new(self, role: Role, extra: int) -> Said:
        self.marks += 1
        return Said(role, f"<{self.marks}>" + "x" * extra, "")

    async def _new_ids(self, run: Run, count: int) -> list[str]:
        """Of the messages that were sent with a run: they stand just before its own."""
        page = await self.chat.conversations.messages(ALICE, run.thread_id, PageRequest(count + 1, descending=True))
        return [message.id for message in page.items[:0:-1]]


@pytest.mark.soak
def test_whatever_happened_before_what_goes_out_is_acceptable() -> None:
    limits = settings(
        max_examples=size(40, 1500),
        stateful_step_count=size(30, 40),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Histories, settings=limits)
