"""One call of a function, in a task of its own: who waits for it can leave at once, whatever the function does then."""

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from chatorch.adapters.tools.python.functions import PythonTool
from chatorch.adapters.tools.python.threads import Threads
from chatorch.adapters.tools.python.values import failure, is_lazy, output, progress
from chatorch.ports.tools import ToolContext, ToolError, ToolOutput, ToolProgress

T = TypeVar("T")

WENT_ON = "The tool went on after its result."
NO_RESULT = "The tool ended without a result."


class _GivenUp(Exception):
    """Nobody wants to hear more of a generator."""


class Call:
    """Of `tool`, with `arguments` as the model gave them. `told` is iterated over once."""

    def __init__(self, tool: PythonTool, arguments: Mapping[str, Any], context: ToolContext, threads: Threads) -> None:
        self._tool = tool
        self._arguments = arguments
        self._context = context
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._said: asyncio.Queue[ToolProgress | ToolOutput | ToolError] = asyncio.Queue(1)
        self._taken = threading.Semaphore(0)
        self._given_up = False

    async def told(self, running: set[asyncio.Task[None]]) -> AsyncGenerator[ToolProgress | ToolOutput]:
        """As `Tools.call`. The task is in `running` until it is over."""
        task = asyncio.create_task(self._carry_out(), name=self._tool.tool.name)
        running.add(task)
        task.add_done_callback(running.discard)
        try:
            while isinstance(said := await self._said.get(), ToolProgress):
                yield said
                self._taken.release()
        finally:
            self._given_up = True
            self._taken.release()
            task.cancel()
        if isinstance(said, ToolError):
            raise said
        yield said

    async def _carry_out(self) -> None:
        """Raises nothing, not even what ends a process: that is not for a tool to say."""
        said: ToolOutput | ToolError
        try:
            said = await self._result()
        except BaseException as error:
            said = failure(error)
        if not self._given_up:
            await self._said.put(said)

    async def _result(self) -> ToolOutput:
        returned = self._start() if self._tool.on_loop else await self._in_thread(self._blocking)
        if isinstance(returned, ToolOutput):
            return returned
        if isinstance(returned, AsyncGenerator):
            return await self._iterated(returned)
        return await self._made(output, await returned)

    def _start(self) -> Any:
        """Where the function runs: a validator of its author's may take as long as the function."""
        by_position, by_name = self._tool.parameters.arguments(self._arguments, self._context)
        self._require_listener()
        return self._tool.function(*by_position, **by_name)

    async def _iterated(self, generator: AsyncGenerator[Any, Any]) -> ToolOutput:
        results = _Results()
        try:
            async for value in generator:
                if (said := await self._made(results.take, value)) is not None:
                    self._require_listener()
                    await self._said.put(said)
        finally:
            await generator.aclose()
        if results.output is None:
            raise ToolError(NO_RESULT)
        return results.output

    async def _made(self, make: Callable[[Any], T], value: Any) -> T:
        """What `make` makes of what the event loop was given."""
        return await self._in_thread(partial(make, value)) if is_lazy(value) else make(value)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        copied = copy_context()
        job = await self._threads.start(self._tool.tool.name, partial(copied.run, work))
        try:
            value, error = await job.ended
        except BaseException:
            self._threads.give_up(job)
            raise
        if error is not None:
            raise failure(error)
        returned: T = value
        return returned

    def _blocking(self) -> Any:
        """In a thread. What the function returned, as a `ToolOutput`, or what is to be awaited or iterated over."""
        self._require_listener()
        value = self._start()
        if self._tool.is_generator:
            return self._driven(value)
        return value if isinstance(value, AsyncGenerator) or inspect.isawaitable(value) else output(value)

    def _driven(self, generator: Generator[Any, None, Any]) -> ToolOutput:
        """All of it on this thread, as fast as somebody listens."""
        results = _Results()
        try:
            while True:
                try:
                    value = next(generator)
                except StopIteration as end:
                    return results.returned(end.value)
                if (said := results.take(value)) is not None:
                    self._say(said)
        finally:
            generator.close()

    def _say(self, said: ToolProgress) -> None:
        self._loop.call_soon_threadsafe(self._hear, said)
        self._taken.acquire()
        self._require_listener()

    def _require_listener(self) -> None:
        if self._given_up:
            raise _GivenUp

    def _hear(self, said: ToolProgress) -> None:
        if not self._given_up:
            self._said.put_nowait(said)


class _Results:
    """What a generator said at last, told from what it said before."""

    def __init__(self) -> None:
        self.output: ToolOutput | None = None

    def take(self, value: Any) -> ToolProgress | None:
        """Raises `ToolError` for what comes behind the output."""
        if self.output is not None:
            raise ToolError(WENT_ON)
        if isinstance(value, ToolOutput):
            self.output = output(value)
            return None
        return progress(value)

    def returned(self, value: Any) -> ToolOutput:
        if self.output is None:
            return output(value)
        if value is not None:
            raise ToolError(WENT_ON)
        return self.output
