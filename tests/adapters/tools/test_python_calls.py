"""How a function is called, what it says, and what becomes of what it raises."""

import asyncio
import contextvars
import enum
import json
import sqlite3
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from chatorch.adapters.tools.python import PythonTools
from chatorch.domain.model.facts import require_storable
from chatorch.tools import ToolArgumentsInvalid, ToolError, ToolOutput, ToolProgress, tool
from tests.support.tool_calls import CONTEXT, output, told

SECRET = "hunter2"


@pytest.fixture
async def made() -> AsyncIterator[Callable[..., PythonTools]]:
    """Tools of functions, that are closed in the end."""
    kept: list[PythonTools] = []

    def make(*functions: Callable[..., Any], threads: int = 2) -> PythonTools:
        kept.append(PythonTools(functions, threads=threads))
        return kept[-1]

    async with asyncio.timeout(20):
        yield make
    for tools in kept:
        await tools.aclose()


Make = Callable[..., PythonTools]


class Colour(enum.StrEnum):
    RED = "red"


class Answer(BaseModel):
    on: date


@dataclass
class Point:
    x: int
    y: float


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("text", "text"),
        ("a\0b\ud83d", "a\ufffdb\ufffd"),
        ("", ""),
        (None, ""),
        (0, "0"),
        (False, "false"),
        (Colour.RED, "red"),
        (Answer(on=date(2026, 1, 2)), '{"on":"2026-01-02"}'),
        (Point(1, 0.5), '{"x":1,"y":0.5}'),
        ({"a": [1, {"b": None}], "é": float("nan")}, '{"a":[1,{"b":null}],"é":"NaN"}'),
        ({"a": "\ud83d"}, '{"a": "\ufffd"}'),
        (ToolOutput("as it is", is_error=True), "as it is"),
        (ToolOutput("\0"), "\ufffd"),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_result_is_text_or_json(made: Make, value: Any, content: str, is_async: bool):
    def sync() -> Any:
        return value

    async def asynchronous() -> Any:
        return value

    function = tool(name="gives")(asynchronous if is_async else sync)
    said = await output(made(function), "gives")
    assert said.content == content
    assert said.is_error == (value == ToolOutput("as it is", is_error=True))


async def test_an_expression_of_a_generator_is_a_list(made: Make):
    assert (await output(made(tool(name="lists")(lambda: (n for n in range(3)))), "lists")).content == "[0,1,2]"


class Unserialised: ...


def round_list() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize("value", [Unserialised(), {"a": Unserialised()}, b"\xff", round_list(), ValueError(SECRET)])
async def test_a_result_that_has_no_json_is_an_error(made: Make, value: Any):
    with pytest.raises(ToolError, match="The tool gave what there is no JSON for"):
        await output(made(tool(name="gives")(lambda: value)), "gives")


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    "error",
    [
        *(RuntimeError(SECRET), StopIteration(SECRET), StopAsyncIteration(SECRET), RecursionError(), MemoryError()),
        *(SystemExit(SECRET), KeyboardInterrupt(SECRET), asyncio.CancelledError(), TimeoutError(SECRET)),
        *(BaseExceptionGroup(SECRET, [SystemExit(3)]), GeneratorExit()),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_is_a_safe_text_and_its_cause(made: Make, error: BaseException, is_async: bool):
    def sync() -> None:
        raise error

    async def asynchronous() -> None:
        raise error

    tools = made(tool(name="fails")(asynchronous if is_async else sync), tool(name="works")(lambda: "well"))
    with pytest.raises(ToolError) as caught:
        await output(tools, "fails")
    assert str(caught.value) == "The tool failed."
    assert caught.value.__cause__ is error or isinstance(caught.value.__cause__, (RuntimeError, asyncio.CancelledError))
    assert await output(tools, "works") == ToolOutput("well")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ToolError("No such city."), "No such city."),
        (ToolError("a\0\ud800"), "a\ufffd\ufffd"),
        (ToolError(), "The tool failed."),
        (ToolArgumentsInvalid("Too far."), "Too far."),
        (ToolArgumentsInvalid("a\0"), "a\ufffd"),
    ],
)
async def test_the_text_of_a_tool_error_passes(made: Make, error: ToolError, text: str):
    def fails() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await output(made(fails), "fails")
    assert str(caught.value) == text


class Wordless(ToolError):
    def __str__(self) -> str:
        raise RuntimeError(SECRET)


async def test_a_tool_error_that_a_task_group_has_alone_passes_and_one_that_says_nothing_fails(made: Make):
    async def within() -> None:
        raise ToolError("No such city.")

    async def grouped(times: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(times):
                group.create_task(within())

    def wordless() -> None:
        raise Wordless

    tools = made(grouped, wordless)
    for name, arguments, text in (
        ("grouped", {"times": 1}, "No such city."),
        ("grouped", {"times": 2}, "The tool failed."),
        ("wordless", {}, "The tool failed."),
    ):
        with pytest.raises(ToolError) as caught:
            await output(tools, name, arguments)
        assert str(caught.value) == text
        assert caught.value.__cause__ is not None


async def test_a_name_that_is_not_offered_is_an_error(made: Make):
    with pytest.raises(ToolError, match="no such tool"):
        await output(made(), "nothing")


async def test_a_generator_yields_progress_and_returns_its_result(made: Make):
    def counts(to: int) -> Generator[Any, None, dict[str, int]]:
        for number in range(to):
            yield {"at": number}
        yield ToolProgress(["last", None, "\0\ud800"])
        return {"counted": to}

    said = await told(made(counts), "counts", to=2)
    progress = [ToolProgress({"at": 0}), ToolProgress({"at": 1}), ToolProgress(["last", None, "\ufffd\ufffd"])]
    assert said == [*progress, ToolOutput('{"counted":2}')]


async def test_an_async_generator_yields_its_result_last(made: Make):
    async def counts(to: int) -> AsyncGenerator[Any]:
        for number in range(to):
            yield number
        yield ToolOutput("counted", is_error=True)
        await asyncio.sleep(0)

    assert await told(made(counts), "counts", to=2) == [
        *(ToolProgress(0), ToolProgress(1)),
        ToolOutput("counted", is_error=True),
    ]


async def test_a_generator_may_yield_its_result_too_and_a_blank_one_has_an_empty_one(made: Make):
    def yields() -> Iterator[Any]:
        yield ToolOutput("yielded")

    def silent() -> Iterator[Any]:
        yield 1

    tools = made(yields, silent)
    assert await told(tools, "yields") == [ToolOutput("yielded")]
    assert await told(tools, "silent") == [ToolProgress(1), ToolOutput("")]


async def without_result() -> AsyncGenerator[Any]:
    yield "this was meant to be it"


async def goes_on() -> AsyncGenerator[Any]:
    yield ToolOutput("")
    yield 1


async def twice() -> AsyncGenerator[Any]:
    yield ToolOutput("")
    yield ToolOutput("")


def returns_as_well() -> Generator[Any, None, str]:
    yield ToolOutput("")
    return "more"


async def opaque_progress() -> AsyncGenerator[Any]:
    yield Unserialised()


def large_progress() -> Iterator[Any]:
    yield 2**64


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (without_result, "The tool ended without a result."),
        (goes_on, "The tool went on after its result."),
        (twice, "The tool went on after its result."),
        (returns_as_well, "The tool went on after its result."),
        (opaque_progress, "The tool's progress is not JSON."),
        (large_progress, "The tool's progress is not JSON."),
    ],
)
async def test_a_generator_that_says_what_cannot_be_is_an_error(made: Make, function: Callable[..., Any], text: str):
    with pytest.raises(ToolError) as caught:
        await told(made(function), function.__name__)
    assert str(caught.value) == text


async def test_what_a_function_returns_is_awaited_or_iterated_over_where_it_must_be(made: Make):
    async def later() -> int:
        return 3

    async def several() -> AsyncGenerator[Any]:
        yield 1
        yield ToolOutput("2")

    tools = made(tool(name="awaits")(lambda: later()), tool(name="iterates")(lambda: several()))  # noqa: PLW0108
    assert await told(tools, "awaits") == [ToolOutput("3")]
    assert await told(tools, "iterates") == [ToolProgress(1), ToolOutput("2")]


here: contextvars.ContextVar[str] = contextvars.ContextVar("here", default="nowhere")


async def test_context_variables_are_the_callers_and_stay_its(made: Make):
    def sync() -> str:
        return here.get() + str(here.set("changed"))[:0]

    async def asynchronous() -> str:
        return here.get() + str(here.set("changed"))[:0]

    def generator() -> Generator[Any, None, str]:
        yield 1
        return here.get()

    tools = made(sync, asynchronous, generator)
    here.set("Rome")
    for name in ("sync", "asynchronous", "generator"):
        assert (await output(tools, name)).content == "Rome"
    assert here.get() == "Rome"


async def test_a_generator_stays_on_one_thread_and_never_gets_ahead(made: Make):
    steps: list[int] = []

    def rows() -> Generator[Any, None, str]:
        with sqlite3.connect(":memory:") as database:  # of one thread
            for step in range(50):
                steps.append(step)
                yield database.execute("SELECT ?", [step]).fetchone()
        database.close()
        return "all"

    seen = 0
    async for said in made(rows, threads=4).call("rows", {}, CONTEXT):
        if isinstance(said, ToolProgress):
            assert said.data == [seen]
            seen += 1
            await asyncio.sleep(0.001)
            assert len(steps) == seen, "not one step more than was asked for"
    assert seen == 50


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_generator_that_is_left_is_closed_where_it_ran(made: Make, is_async: bool):
    closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def sync() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            loop.call_soon_threadsafe(closed.set_result, threading.current_thread().name)

    async def asynchronous() -> AsyncGenerator[int]:
        try:
            for number in range(1000):
                yield number
        finally:
            closed.set_result(threading.current_thread().name)

    calling = made(tool(name="counts")(asynchronous if is_async else sync)).call("counts", {}, CONTEXT)
    assert await anext(calling) == ToolProgress(0)
    await calling.aclose()
    name = await closed
    assert (name == threading.main_thread().name) == is_async


async def test_many_calls_at_once_each_get_their_own(made: Make):
    def sync(number: int) -> Generator[Any, None, int]:
        yield number
        return number

    async def asynchronous(number: int) -> AsyncGenerator[Any]:
        yield number
        await asyncio.sleep(0)
        yield ToolOutput(str(number))

    tools = made(sync, asynchronous, threads=4)
    calls = [told(tools, name, number=number) for number in range(50) for name in ("sync", "asynchronous")]
    expected = [[ToolProgress(number), ToolOutput(str(number))] for number in range(50) for _ in range(2)]
    assert await asyncio.gather(*calls) == expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


async def echo(value: Any) -> AsyncGenerator[Any]:
    yield kept[0]
    yield ToolOutput(kept[0])


kept: list[Any] = [None]
ECHO = PythonTools([echo])


@given(VALUES)
async def test_whatever_a_tool_says_can_be_stored_or_is_refused(value: Any):
    kept[0] = value
    try:
        said = await told(ECHO, "echo", value=None)
    except ToolError as error:
        assert str(error) in ("The tool's progress is not JSON.", "The tool gave what there is no JSON for.")  # noqa: PT017
        return
    progress, result = said
    assert isinstance(progress, ToolProgress)
    assert isinstance(result, ToolOutput)
    require_storable({"data": progress.data, "content": result.content})
    if not isinstance(value, str | None):
        json.loads(result.content)
