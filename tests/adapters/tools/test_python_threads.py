"""Functions that block: how many at once, who waits, and what becomes of those that nobody waits for any more."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator

from chatorch.adapters.tools.python import PythonTools
from chatorch.tools import ToolArgumentsInvalid, ToolError, ToolOutput, ToolProgress
from tests.support.logged import logged
from tests.support.sizes import size
from tests.support.tool_calls import output, told

THREADS = 3


class Held:
    """Calls that block until they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.at_once = 0
        self._lock = threading.Lock()

    def block(self, number: int) -> str:
        with self._lock:
            self.begun.append(number)
            self.at_once = max(self.at_once, len(self.begun) - len(self.ended))
        assert self.go.wait(20)
        with self._lock:
            self.ended.append(number)
        return str(number)


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.go.set()


async def quick() -> str:
    return "quick"


@pytest.fixture
async def tools(held: Held) -> AsyncIterator[PythonTools]:
    tools = PythonTools([held.block, quick], threads=THREADS)
    async with asyncio.timeout(20):
        yield tools
    held.go.set()
    await tools.aclose()


def calls(tools: PythonTools, *numbers: int) -> list[asyncio.Task[ToolOutput]]:
    return [asyncio.create_task(output(tools, "block", number=number)) for number in numbers]


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_no_more_than_the_threads_run_at_once_and_the_others_wait_their_turn(tools: PythonTools, held: Held):
    waiting = calls(tools, *range(10))
    await until(lambda: len(held.begun) == THREADS)
    assert await output(tools, "quick") == ToolOutput("quick"), "the loop goes on"
    held.go.set()
    assert [said.content for said in await asyncio.gather(*waiting)] == [str(number) for number in range(10)]
    assert held.at_once == THREADS
    assert held.begun[:THREADS] == [0, 1, 2]


async def test_a_call_that_waited_and_was_given_up_never_starts(tools: PythonTools, held: Held):
    running = calls(tools, *range(THREADS))
    await until(lambda: len(held.begun) == THREADS)
    waiting = calls(tools, 7, 8)
    await asyncio.sleep(0)
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    held.go.set()
    await asyncio.gather(*running, waiting[1])
    assert sorted(held.begun) == [0, 1, 2, 8]


async def test_one_that_is_given_up_keeps_its_thread_until_it_is_done(tools: PythonTools, held: Held):
    others = set(threading.enumerate())
    given_up = calls(tools, *range(THREADS))
    await until(lambda: len(held.begun) == THREADS)
    with logged() as log:
        for call in given_up:
            call.cancel()
        await asyncio.wait(given_up)
        await asyncio.sleep(0)
        assert log.lines == [], "nobody waits for them"
        for number in range(100, 110):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.002):
                    await output(tools, "block", number=number)
        [line] = log.named("tool_threads_exhausted")
        assert (line["level"], line["threads"], line["tools"]) == ("error", THREADS, ["block"])
    assert sorted(held.begun) == [0, 1, 2]
    assert len(set(threading.enumerate()) - others) == THREADS
    assert await output(tools, "quick") == ToolOutput("quick")

    held.go.set()
    assert await output(tools, "block", number=5) == ToolOutput("5"), "and then it is free again"


async def test_arguments_of_a_function_that_blocks_are_checked_in_its_thread(held: Held):
    called: list[str] = []

    def checks(text: Annotated[str, AfterValidator(lambda text: held.block(1) + text)]) -> str:
        called.append(text)
        return text

    def refuses(text: Annotated[str, AfterValidator(lambda text: int(held.block(2) + text))]) -> str:
        return str(text)

    tools = PythonTools([checks, refuses, quick], threads=2)
    async with asyncio.timeout(10):
        for number in (1, 2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await output(tools, "checks", text=str(number))
        assert await output(tools, "quick") == ToolOutput("quick"), "the loop goes on"
        waiting = [asyncio.create_task(output(tools, name, text="x")) for name in ("checks", "refuses")]
        held.go.set()
        assert await waiting[0] == ToolOutput("1x")
        with pytest.raises(ToolArgumentsInvalid, match="text: is not valid"):
            await waiting[1]
    assert called == ["1x"], "what was given up while its arguments were checked is not called"
    await tools.aclose()


async def test_an_iterator_that_an_async_function_gives_is_read_in_a_thread(held: Held):
    async def returns() -> Iterator[str]:
        return (held.block(number) for number in range(2))

    async def yields() -> AsyncIterator[Any]:
        yield map(held.block, [2])
        yield ToolOutput(map(held.block, [3]))  # type: ignore[arg-type]  # as a function may be written

    tools = PythonTools([returns, yields, quick], threads=2)
    async with asyncio.timeout(10):
        waiting = [asyncio.create_task(told(tools, name)) for name in ("returns", "yields")]
        await until(lambda: len(held.begun) == 2)
        assert await output(tools, "quick") == ToolOutput("quick"), "the loop goes on"
        held.go.set()
        assert await waiting[0] == [ToolOutput('["0","1"]')]
        assert await waiting[1] == [ToolProgress(["2"]), ToolOutput('["3"]')]
    await tools.aclose()


async def test_an_async_function_that_will_not_be_cancelled_keeps_nobody():
    go = asyncio.Event()
    given_up = asyncio.Event()
    ended = asyncio.Event()

    async def stubborn() -> str:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                given_up.set()
        ended.set()
        return "at last"

    tools = PythonTools([stubborn])
    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await output(tools, "stubborn")
        await given_up.wait()
        go.set()
        await ended.wait()
        await tools.aclose()


async def test_closing_ends_the_threads_that_do_nothing_and_waits_for_no_other(held: Held):
    others = set(threading.enumerate())
    tools = PythonTools([held.block], threads=2)
    held.go.set()
    for number in range(4):
        await output(tools, "block", number=number)
    mine = set(threading.enumerate()) - others
    assert mine
    held.go.clear()
    [running] = calls(tools, 9)
    await until(lambda: 9 in held.begun)
    async with asyncio.timeout(5):
        await tools.aclose()
    with pytest.raises(ToolError):
        await running
    held.go.set()
    async with asyncio.timeout(5):
        await until(lambda: not any(thread.is_alive() for thread in mine))


async def test_sequential_calls_share_a_thread():
    def name() -> str:
        return threading.current_thread().name

    tools = PythonTools([name], threads=8)
    assert {(await output(tools, "name")).content for _ in range(20)} == {"tool-0"}
    await tools.aclose()


def test_there_is_at_least_one_thread():
    with pytest.raises(ValueError, match="at least one"):
        PythonTools(threads=0)


@pytest.mark.soak
async def test_whenever_calls_are_given_up_no_thread_is_lost_and_none_runs_two():
    """Functions and generators, left at random, before they begin, while they run, and between two steps."""
    chance = random.Random(13)
    lock = threading.Lock()
    at_once: list[int] = [0, 0]

    def works(pause: float, steps: int) -> Generator[int, None, str]:
        with lock:
            at_once[0] += 1
            at_once[1] = max(at_once)
        try:
            for step in range(steps):
                time.sleep(pause)
                yield step
        finally:
            with lock:
                at_once[0] -= 1
        return "done"

    def meets() -> str:
        together.wait(10)
        return "met"

    together = threading.Barrier(THREADS)
    tools = PythonTools([works, meets], threads=THREADS)

    async def leaves() -> bool:
        try:
            async with asyncio.timeout(chance.choice([0.0, 0.001, 0.003, 1])):
                return (
                    await output(tools, "works", pause=chance.random() / 2000, steps=chance.randrange(4))
                ).content != ""
        except TimeoutError:
            return False

    async with asyncio.timeout(60):
        for _ in range(size(10, 200)):
            await asyncio.gather(*(leaves() for _ in range(20)))
        assert [said.content for said in await asyncio.gather(*(output(tools, "meets") for _ in range(THREADS)))] == [
            "met"
        ] * THREADS
    assert at_once[1] <= THREADS
    assert at_once[0] == 0
    await tools.aclose()
