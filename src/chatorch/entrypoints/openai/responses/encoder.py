"""A run as the streamed events of a response, each with its number.

Events, their numbers and the places where texts are cut are a function of what the run says, and of nothing else: so a
replay tells the same under the same numbers, from any number on, on any worker, at any time. It is this encoder from
the run's beginning, which says nothing up to that number.
"""

from dataclasses import replace

import msgspec

from chatorch.domain.model.content import START, PartDelta, PartEnded, PartStarted, Snapshot
from chatorch.domain.model.errors import InvalidToken
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import RunEvent, RunInterrupted, RunStarted, TerminalEvent
from chatorch.entrypoints.common.failures import domain_failure
from chatorch.entrypoints.common.pumped import PING
from chatorch.entrypoints.openai.errors import OPENAI_ERRORS
from chatorch.entrypoints.openai.responses.call_items import CallItem, answers_call, call_item
from chatorch.entrypoints.openai.responses.frames import Said, frame
from chatorch.entrypoints.openai.responses.items import COMPLETED, item_at
from chatorch.entrypoints.openai.responses.telling import Over, State
from chatorch.entrypoints.openai.responses.telling_calls import TellingCalls
from chatorch.entrypoints.openai.responses.view import ended_as, item_status

_TERMINAL_TYPES = {COMPLETED: "response.completed", "failed": "response.failed"}
"""There is none for what is cancelled: it is incomplete, and its status says why."""


class ResponsesEncoder(TellingCalls):
    """The numbers of an attempt begin where its positions do (`EPOCH_SPAN`).

    Whoever knows those of an earlier one is told all of it, from `response.created` on. A snapshot is taken as a
    replay: what has been said is not said again. Where less of the run was kept than has been said, as a worker's death
    may do it, only the end is still to be said, under the next number.
    """

    def encode(self, event: RunEvent) -> bytes:
        if isinstance(event, PartDelta):  # first, because it is nearly always one
            return self._say(event)
        match event:
            case PartStarted():
                return self._start(event.index, event.part)
            case PartEnded():
                return self._end_part(event.part)
            case RunStarted():
                self.state = self.state._replace(number=event.seq - START)
                return self._begin()
            case Snapshot():
                return self._again(event)
        return self._end(event)

    def keep_alive(self) -> bytes:
        return PING

    def end(self) -> bytes:
        return b""

    def cut_off(self) -> bytes:
        """An `error`, which OpenAI's libraries raise by its name, or by a member of that name: a stream that only ended
        would be taken for an answer. It has the number of the last event, so that who comes back by it misses none."""
        state = self.state
        if isinstance(state, Over):
            return b""
        error = OPENAI_ERRORS.error(domain_failure(InvalidToken()))
        told = {name: error[name] for name in ("code", "message", "param")}
        number = max(state.number - 1, state.silent_to)
        return frame("error", {"type": "error", **told, "sequence_number": number, "error": error})

    # -- parts -----------------------------------------------------------------------------------------------------

    def _start(self, index: int, part: Part) -> bytes:
        told = self._flush()
        match part.kind:
            case PartKind.SOURCE:
                if self.state.open is None:
                    told += self._open(item_at(self._view.run_id, index, PartKind.TEXT))
                return told + self._annotate(part)
            case PartKind.REASONING:
                return told + self._close(COMPLETED) + self._open(item_at(self._view.run_id, index, part.kind))
            case PartKind.TOOL_CALL if item := call_item(self._view.run_id, index, part):
                return told + self._close(COMPLETED) + self._open(item)
            case PartKind.TOOL_RESULT if answers_call(part):
                return told + self._start_result(index, part)
        return told

    def _end_part(self, part: Part) -> bytes:
        """A message goes on: other texts may follow."""
        told = self._flush()
        now = self.state.open
        if now is None:
            return told
        if part.kind is PartKind.REASONING:
            return told + self._close(COMPLETED)
        if part.kind is PartKind.TOOL_RESULT and now.result is not None:
            return told + self._answered(now.place, now.result)
        if part.kind is PartKind.TOOL_CALL and isinstance(now.item, CallItem):
            return told + self._called(now)
        return told

    # -- beginning and end -----------------------------------------------------------------------------------------

    def _begin(self) -> bytes:
        begun = self._view.begun()
        return self._event("response.created", response=begun) + self._event("response.in_progress", response=begun)

    def _again(self, snapshot: Snapshot) -> bytes:
        state, begins = self.state, snapshot.seq - snapshot.content.tip
        self.state = State(begins, silent_to=max(state.silent_to, state.number - 1))
        told = [self._begin()]
        told.extend(self.encode(event) for event in snapshot.content.since(START))
        return b"".join(told)

    def _end(self, terminal: TerminalEvent) -> bytes:
        status, _ = ended_as(terminal)
        if (now := self.state.open) is not None:
            # What is held ends here for this follower alone: others may know of more.
            self.state = self.state._replace(open=replace(now, said=Said(self._text())))
        told = self._close(item_status(status)) + self._leave()
        number, silent_to = self.state.number, self.state.silent_to
        if number <= silent_to:
            has_it = number == silent_to == self._after and not isinstance(terminal, RunInterrupted)
            if has_it:
                self.state = Over(*self.state)
                return b""
            self.state = self.state._replace(number=silent_to + 1)
        output = [msgspec.Raw(item) for item in self.state.items if isinstance(item, bytes)]
        response = self._view.ended(terminal, output)
        told += self._event(_TERMINAL_TYPES.get(status, "response.incomplete"), response=response)
        self.state = Over(*self.state)
        return told
