"""Making the calls of a step: side by side, each within its time, and what came of them as it comes."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from math import isinf
from typing import Any

from chatorch.domain.model.calls import STAND_INS
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.parts import Part
from chatorch.domain.model.text import storable_text
from chatorch.domain.model.tools import CallStatus, ToolResult, ToolUse
from chatorch.domain.services.toolbox import Offer
from chatorch.ports.chat_model import Turn
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import ToolTelemetry
from chatorch.ports.tools import ToolContext, ToolError, ToolOutput, ToolProgress

MOST_PROGRESS = 100
"""Of one call. What it says beyond that is not told: each is a part of the message."""
MAX_PROGRESS_CHARS = 4096


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """`max_steps`: how often a run asks its model. `at_once`: how many calls of one run are made at a time.

    `timeout_s` (seconds) and `max_result_chars` (code points) are for one call, `max_results_chars` for all of a run,
    and `max_progress_chars` for all that they say of themselves meanwhile.
    """

    max_steps: int = 8
    at_once: int = 4
    timeout_s: float = 60.0
    max_result_chars: int = 50_000
    max_results_chars: int = 500_000
    max_progress_chars: int = 100_000


@dataclass(frozen=True, slots=True)
class CallToMake:
    """`part` is the call as the model asked for it, `key` its idempotency key. `perhaps_made`: by a worker that is
    gone, and nobody knows what came of it."""

    part: Part
    key: str
    perhaps_made: bool = False

    @property
    def id(self) -> str:
        return str(self.part.head["id"])

    @property
    def name(self) -> str:
        return str(self.part.head["name"])


@dataclass(frozen=True, slots=True)
class Told:
    """What a call says of itself while it is made."""

    call: CallToMake
    progress: str


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a call."""

    call: CallToMake
    result: ToolResult
    use: ToolUse


class ToolCaller:
    """Calls nothing that was not offered, and nothing twice that may not be."""

    def __init__(self, *, clock: Clock, telemetry: ToolTelemetry, limits: ToolLimits) -> None:
        self._clock = clock
        self._telemetry = telemetry
        self._limits = limits

    async def make(
        self, calls: Sequence[CallToMake], offer: Offer, turn: Turn
    ) -> AsyncGenerator[Sequence[Told | Made]]:
        """Yields what has come meanwhile: progress, and exactly one `Made` for each call, in the order of time.

        Closing it gives up those that are not done.
        """
        news: asyncio.Queue[Told | Made] = asyncio.Queue()
        room = asyncio.Semaphore(self._limits.at_once)
        tasks = [asyncio.ensure_future(self._make(call, offer, turn, news, room)) for call in calls]
        left = len(calls)
        try:
            while left:
                come = [await news.get()]
                with suppress(asyncio.QueueEmpty):
                    while True:
                        come.append(news.get_nowait())
                left -= sum(isinstance(each, Made) for each in come)
                yield come
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(
        self,
        call: CallToMake,
        offer: Offer,
        turn: Turn,
        news: asyncio.Queue[Told | Made],
        room: asyncio.Semaphore,
    ) -> None:
        async with room:
            tool = offer.tools.get(call.name)
            if call.perhaps_made and not (tool and tool.idempotent):
                result = ToolResult(CallStatus.UNKNOWN, STAND_INS[CallStatus.UNKNOWN])
                use = use_of(call.name, result.status, offer, 0)
                self._telemetry.called(use, None)
                news.put_nowait(Made(call, result, use))
                return
            began = self._clock.monotonic()
            result, cause = await self._result_of(call, offer, turn, news)
            took_ms = round((self._clock.monotonic() - began) * 1000)
            use = use_of(call.name, result.status, offer, took_ms)
            self._telemetry.called(use, cause)
            news.put_nowait(Made(call, result, use))

    async def _result_of(
        self, call: CallToMake, offer: Offer, turn: Turn, news: asyncio.Queue[Told | Made]
    ) -> tuple[ToolResult, BaseException | None]:
        """With what went wrong, for the log."""
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                output = await self._output_of(call, offer, turn.principal, turn, news)
        except ToolError as error:
            return self._bounded(CallStatus.FAILED, str(error)), error
        except TimeoutError as error:
            return _failed(f"The tool took longer than {self._limits.timeout_s:g} s."), error
        except asyncio.CancelledError as error:
            if (me := asyncio.current_task()) is not None and me.cancelling():
                raise
            return _failed("The tool failed."), error  # nobody gave the call up but what the tool waited for
        except Exception as error:
            return _failed("The tool failed."), error
        return self._bounded(CallStatus.FAILED if output.is_error else CallStatus.COMPLETED, output.content), None

    def _bounded(self, status: CallStatus, said: str) -> ToolResult:
        result = ToolResult(status, said).bounded(self._limits.max_result_chars)
        return ToolResult(result.status, storable_text(result.content))

    async def _output_of(
        self,
        call: CallToMake,
        offer: Offer,
        principal: Principal,
        turn: Turn,
        news: asyncio.Queue[Told | Made],
    ) -> ToolOutput:
        source = (offer.sources if call.name in offer.tools else offer.absent).get(call.name)
        if source is None:
            raise ToolError("There is no tool of this name.")
        context = ToolContext(principal, turn.thread_id, turn.run_id, call.key)
        told = 0
        async with aclosing(source.call(call.name, arguments_of(call.part.body), context)) as said:
            async for each in said:
                if isinstance(each, ToolOutput):
                    return each
                if told < MOST_PROGRESS and (text := _progress_text(each)):
                    told += 1
                    news.put_nowait(Told(call, text))
        raise RuntimeError("a tool ended without an output")


UNKNOWN_TOOL = "unknown"
"""What a tool is called in figures that nobody has."""


def use_of(name: str, status: CallStatus, offer: Offer, took_ms: int | None) -> ToolUse:
    """What a model makes up is not told in figures, and not recorded."""
    return ToolUse(name if name in offer.tools else UNKNOWN_TOOL, status, took_ms)


def arguments_of(text: str) -> Mapping[str, Any]:
    """Raises `ToolError` for what is no JSON object."""
    if not text.strip():
        return {}
    try:
        arguments = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        raise ToolError("The arguments are not JSON.") from None
    if not isinstance(arguments, dict):
        raise ToolError("The arguments are not a JSON object.")
    return arguments


def readable(arguments: str) -> bool:
    """Whether a tool can be called with them. If not, a call only tells the model so."""
    try:
        arguments_of(arguments)
    except ToolError:
        return False
    return True


def _no_number(_: str) -> object:
    raise ValueError


def _finite(text: str) -> float:
    if isinf(number := float(text)):
        raise ValueError
    return number


def _progress_text(progress: ToolProgress) -> str | None:
    """None for what is no JSON, or too much."""
    try:
        text = storable_text(json.dumps(progress.data, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return None
    return text if len(text) <= MAX_PROGRESS_CHARS else None


def _failed(text: str) -> ToolResult:
    return ToolResult(CallStatus.FAILED, storable_text(text))
