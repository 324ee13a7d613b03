"""A turn of steps: the model is asked, its calls are made, it is asked again with what came of them."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from chatorch.domain.model.calls import ASKS, calls_in, result_part, results_in, steps_of, waits_for_client
from chatorch.domain.model.content import Content
from chatorch.domain.model.context import told_steps
from chatorch.domain.model.conversation import Usage, UsageSource
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.estimates import estimated_usage, tokens_of
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.tools import MADE, CallStatus, CarriedOutBy, Tally, ToolUse
from chatorch.domain.services.execution.tool_calls import (
    CallToMake,
    Made,
    Told,
    ToolCaller,
    ToolLimits,
    readable,
    use_of,
)
from chatorch.domain.services.execution.tool_room import Room
from chatorch.domain.services.execution.tool_step import SpokenStep, name_in
from chatorch.domain.services.toolbox import Offer, Toolbox
from chatorch.ports.calls import CallStore
from chatorch.ports.chat_model import ChatModel, Finish, Keep, PartEnd, PartStart, Piece, Prompt, Turn
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import ToolTelemetry

CUT_OFF = frozenset({"length", "content_filter"})
"""How a model ends that did not say all: what it asked for is not done."""
MAX_PAUSE_S = 2.0
NONE_USED = Usage(0, 0, 0, UsageSource.ESTIMATED)
NO_MORE_STEPS = "This tool was not called: the turn has come to its last step."
MOST_CALLS = 128
"""Of one step. More than that is no model's plan, and nobody could answer so many at once."""
TOO_MANY = f"This tool was not called: at most {MOST_CALLS} can be called at once."
NOT_TO_THE_END = "This tool was not called: the answer was cut off."


class ToolLoop(ChatModel):
    """A chat model that has tools, around one that can ask for them.

    Where there are none to offer, nothing stands between the model and whoever reads.
    """

    def __init__(
        self,
        model: ChatModel,
        toolbox: Toolbox,
        *,
        calls: CallStore,
        clock: Clock,
        telemetry: ToolTelemetry,
        limits: ToolLimits,
    ) -> None:
        self._model = model
        self._calls = calls
        self._toolbox = toolbox
        self._clock = clock
        self._limits = limits
        self._caller = ToolCaller(clock=clock, telemetry=telemetry, limits=limits)

    def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        turn = prompt.turn
        if turn is None:
            return self._model.stream(prompt)
        if not self._toolbox.settled:
            return self._when_settled(prompt)
        agreed = [call.head["name"] for call in turn.open_calls]
        offer = self._toolbox.offer(turn.principal, prompt.generation, agreed)
        if not (offer.tools or turn.open_calls or turn.begun):
            return self._model.stream(prompt)
        steps = _Steps(prompt, turn, offer, self._model, self._calls, self._caller, self._clock, self._limits)
        return steps.pieces()

    async def _when_settled(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        """Soon after the start it is not yet known what there is; nobody is to be told that it is not there."""
        await self._toolbox.settle()
        async with aclosing(self.stream(prompt)) as pieces:
            async for piece in pieces:
                yield piece

    async def aclose(self) -> None:
        await self._model.aclose()


class _Steps:
    """One turn in flight."""

    def __init__(
        self,
        prompt: Prompt,
        turn: Turn,
        offer: Offer,
        model: ChatModel,
        calls: CallStore,
        caller: ToolCaller,
        clock: Clock,
        limits: ToolLimits,
    ) -> None:
        self._prompt, self._turn, self._offer = prompt, turn, offer
        self._model, self._calls, self._caller, self._clock = model, calls, caller, clock
        self._began_at = clock.monotonic() - prompt.begun_s
        self._parts = list(turn.said.parts) if turn.begun else []
        self._ids = {str(call.head["id"]) for message in prompt.messages for call in message.calls}
        self._ids |= turn.call_ids | {str(call.head["id"]) for call in calls_in(self._parts)}
        self._knows_ids = prompt.generation.unattended  # nobody answers its calls by their ids alone
        self._results = results_in(self._parts)
        kept = sum(bool(step.calls) for step in steps_of(self._parts))
        self._left = max(limits.max_steps - kept, 1)
        self._room = Room(limits, self._parts)
        self._tally = Tally(steps=kept, tools=tuple(self._made_before()))
        self._finish = Finish("stop", None)

    async def pieces(self) -> AsyncGenerator[Piece]:
        asked_before = calls_in(self._parts)
        carried = [call for call in (*self._turn.open_calls, *asked_before) if call.head["id"] not in self._results]
        async for piece in self._carry_out(carried, approved=self._turn.open_calls, perhaps_made=self._turn.begun):
            yield piece
        waiting = [call for call in asked_before if self._waits(call)]
        while not waiting:
            step = SpokenStep(self._offer, self._ids, is_first=not self._parts)
            async for piece in self._ask(step):
                yield piece
            self._parts += step.parts
            if not step.calls:
                break
            for piece in self._refused(step.calls):
                yield piece
            async for piece in self._carry_out([call for call in step.calls if self._waits(call)]):
                yield piece
            waiting = [call for call in step.calls if self._waits(call)]
            if self._is_last:
                break
        # Whoever takes over a run that waits for somebody outside by now asks its model nothing.
        yield Finish(self._reason(asks=bool(waiting)), self._tally.usage or NONE_USED, self._tally)

    def _reason(self, *, asks: bool) -> str:
        if asks:
            return ASKS
        reason = self._finish.reason
        return "stop" if reason == ASKS else reason

    # -- asking ----------------------------------------------------------------------------------------------------

    async def _ask(self, step: SpokenStep) -> AsyncGenerator[Piece]:
        """What the model says in one step, but for its end."""
        self._left -= 1
        prompt = self._next_prompt()
        async with aclosing(self._model.stream(prompt)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    if start := step.say(piece):
                        yield start
                    yield piece
                elif isinstance(piece, PartStart):
                    await self._know_ids(piece)
                    for told in step.start(piece):
                        yield told
                elif isinstance(piece, PartEnd):
                    yield step.end(piece)
                elif isinstance(piece, Finish):
                    self._finish = piece
                    break
        for ending in step.close():
            yield ending
        used = self._finish.usage or estimated_usage(tokens_of(prompt.messages), Content(tuple(step.parts)))
        before = self._tally.usage
        usage = used if before is None else before + used
        self._tally = replace(self._tally, steps=self._tally.steps + 1, usage=usage)

    async def _know_ids(self, piece: PartStart) -> None:
        """Before a call that waits for somebody outside: an answer to one that has left the history, or the prompt, is
        never taken for one to this. There are providers that count their calls anew each time. While the store is away
        it waits, as all answers would have to."""
        tool = self._offer.tools.get(name_in(piece.head)) if piece.kind is PartKind.TOOL_CALL else None
        if self._knows_ids or tool is None or not (tool.needs_approval or tool.by is CarriedOutBy.CLIENT):
            return
        pause = 0.1
        while not self._knows_ids:
            try:
                self._ids |= await self._calls.call_ids(self._turn.thread_id, self._turn.run_id)
                self._knows_ids = True
            except StoreUnavailable:
                await self._clock.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE_S)

    def _next_prompt(self) -> Prompt:
        """As the run was asked, and what has been said and done since."""
        generation, tools = self._prompt.generation, tuple(self._offer.tools.values())
        if not self._left:
            # Nobody would hear what came of one of ours.
            others = tuple(tool for tool in tools if tool.by is CarriedOutBy.CLIENT or tool.needs_approval)
            generation = generation if others else replace(generation, tool_choice="none")
            tools = others or tools
        if self._parts:
            generation = generation.going_on()
        results = self._results
        before = (
            replace(message, content=results[message.call_id].body) if message.call_id in results else message
            for message in self._prompt.messages
        )
        return replace(
            self._prompt,
            messages=(*before, *told_steps(self._parts, results, sends_reasoning=True)),
            generation=generation,
            tools=tools,
            begun_s=self._clock.monotonic() - self._began_at,
        )

    # -- carrying out ----------------------------------------------------------------------------------------------

    async def _carry_out(
        self, calls: Sequence[Part], *, approved: Sequence[Part] = (), perhaps_made: bool = False
    ) -> AsyncGenerator[Piece]:
        """Those that nobody outside is to carry out, or to approve of. Nothing is called before it is stored as such,
        and what came of it is stored before anything follows."""
        now = [call for call in calls if call in approved or not _waits_for_somebody(call)]
        keys = self._keys()
        to_make = [CallToMake(call, keys[call.head["id"]], perhaps_made and readable(call.body)) for call in now]
        if not to_make:
            return
        if not perhaps_made:
            yield Keep(self._tally)
        async with aclosing(self._caller.make(to_make, self._offer, self._turn)) as come:
            async for news in come:
                for each in news:
                    for piece in self._told(each):
                        yield piece
                if any(isinstance(each, Made) for each in news):
                    yield Keep(self._tally)

    def _told(self, news: Told | Made) -> Iterator[Piece]:
        if isinstance(news, Made):
            self._tally = replace(self._tally, tools=(*self._tally.tools, news.use))
            yield from self._add(self._room.result(news))
        elif part := self._room.progress(news):
            yield from self._add(part)

    def _refused(self, calls: Sequence[Part]) -> list[Piece]:
        """What of them is not done: all where the model did not say all, ours where no other step would hear of it, and
        what is too many."""
        told: list[Piece] = []
        reason = self._finish.reason
        for place, call in enumerate(calls):
            if reason in CUT_OFF:
                why = NOT_TO_THE_END
            elif not self._left and not _waits_for_somebody(call):
                why = NO_MORE_STEPS
                self._finish = replace(self._finish, reason="length")
            elif place >= MOST_CALLS:
                why = TOO_MANY
            else:
                continue
            told += self._add(result_part(call.head["id"], CallStatus.NOT_EXECUTED, why))
        return told

    @property
    def _is_last(self) -> bool:
        """Whether the model is not asked again after this step."""
        return not self._left or self._finish.reason in CUT_OFF

    def _add(self, part: Part) -> Iterator[Piece]:
        """A part that is whole."""
        if part.kind is PartKind.TOOL_RESULT:
            self._results[part.head["call_id"]] = part
        self._parts.append(part)
        yield PartStart(part.kind, part.head)
        if part.body:
            yield part.body
        yield PartEnd()

    def _made_before(self) -> Iterator[ToolUse]:
        """By attempts before this one."""
        for call in (*self._turn.open_calls, *calls_in(self._parts)):
            result = self._results.get(str(call.head["id"]))
            if result is not None and call.head["by"] == CarriedOutBy.SERVER:
                status = CallStatus(result.head["status"])
                if status in MADE:
                    yield use_of(str(call.head["name"]), status, self._offer, None)

    def _waits(self, call: Part) -> bool:
        return call.head["id"] not in self._results

    def _keys(self) -> dict[str, str]:
        """Of each call by its id: the run, and the place of the call among its calls. The same where it is made again,
        whoever makes it, and never another one's."""
        calls = [*self._turn.open_calls, *calls_in(self._parts)]
        return {call.head["id"]: f"{self._turn.run_id}:{place}" for place, call in enumerate(calls, 1)}


def _waits_for_somebody(call: Part) -> bool:
    """Nobody is asked to approve of what cannot be done: the model hears of it, and asks for something else."""
    return waits_for_client(call) and (call.head["by"] == CarriedOutBy.CLIENT or readable(call.body))
