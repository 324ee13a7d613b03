"""What an answer says, as AG-UI's events.

Order is what the client's verifier holds us to: nothing goes on that is not open, and nothing is open at the end.
"""

from typing import NamedTuple

from chatorch.domain.model.calls import Standing
from chatorch.domain.model.content import START, Content, PartDelta, PartEnded, PartStarted
from chatorch.domain.model.conversation import MessageId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import RunEvent
from chatorch.domain.model.tools import CallStatus
from chatorch.entrypoints.ag_ui.calls import NOTHING_EARLIER, Earlier, Waiting, result_members, stand_in, told_result
from chatorch.entrypoints.ag_ui.events import delta_form, frame, ours, quoted
from chatorch.entrypoints.ag_ui.messages import BESIDE, custom, text_of_head
from chatorch.entrypoints.ag_ui.placement import Place, for_call, for_text, part_id
from chatorch.entrypoints.common.event_encoder import EventEncoder
from chatorch.entrypoints.common.gathered import Gathered, gathered
from chatorch.entrypoints.common.pumped import PING


class _Result(NamedTuple):
    """A tool's answer that has begun: the part, the call as it is named here, and how it went."""

    part: int
    call_id: str
    status: str | None


class _Said(NamedTuple):
    """All that the next frame depends on.

    `part` is the one whose deltas fill `form`, -1 where none's do. `opening` is what opens all that is open, and
    `closing` what ends it. `body` is what has come of a part that is told as a whole. `calls` are those of the turn, as
    the model names them and as they are named here; `unanswered` are those without a result, and
    `result` is what is being said of one.
    """

    part: int = -1
    form: bytes = b""
    opening: bytes = b""
    closing: bytes = b""
    place: Place = Place()
    body: Gathered = ()
    calls: tuple[tuple[str, str], ...] = ()
    unanswered: tuple[Waiting, ...] = ()
    result: _Result | None = None


class ContentEncoder(EventEncoder):
    """What the assistant's message says; the same for all who follow its run. It tells nothing of starts and ends of
    the run."""

    state: _Said

    def __init__(self, message_id: MessageId, earlier: Earlier = NOTHING_EARLIER) -> None:
        self._message_id = message_id
        self._approved = earlier.approved
        self._nothing_said = self.state = _Said(calls=tuple(earlier.names.items()), unanswered=earlier.approved)

    def encode(self, event: RunEvent) -> bytes:
        if type(event) is PartDelta:  # first, because it is nearly always one
            said = self.state
            if event.index == said.part:
                return said.form % quoted(event.text)
            return self._first_delta(event)
        match event:
            case PartStarted():
                return self._started(event.index, event.part)
            case PartEnded():
                return self._ended(event.index, event.part)
        return b""

    def keep_alive(self) -> bytes:
        return PING

    def end(self) -> bytes:
        return b""

    def take_up(self, content: Content) -> bytes:
        """What opens that which is open in `content`, after which it may go on."""
        self.state = self._nothing_said
        for event in content.since(START):
            self.encode(event)
        return self.state.opening

    def close(self) -> bytes:
        """Ends all that is open; what is left unsaid of it is said."""
        said = self.state
        closing = said.closing
        self.state = said._replace(part=-1, form=b"", opening=b"", closing=b"")
        return closing

    def over(self, standing: Standing) -> tuple[bytes, list[Waiting]]:
        """Ends all, with a word about each call that nobody carries out; and the others, which are waited for. A result
        that did not come whole is none."""
        frames, waiting = [self.close()], []
        for each in self.state.unanswered:
            status = CallStatus.UNKNOWN if each in self._approved else standing.status_of(each.call)
            if status is CallStatus.PENDING:
                waiting.append(each)
            elif status is not CallStatus.RUNNING and each.call.head.get("id") not in standing.answered:
                frames.append(told_result(stand_in(each.call_id, status)))
        self.state = self._nothing_said
        return b"".join(frames), waiting

    # -- parts -----------------------------------------------------------------------------------------------------

    def _first_delta(self, delta: PartDelta) -> bytes:
        match delta.kind:
            case PartKind.TEXT:
                opened = self._text(delta.index)
            case PartKind.REASONING:
                opened = self._thought(delta.index)
            case _:  # told when it is whole
                self.state = self.state._replace(body=gathered(self.state.body, delta.text))
                return b""
        return opened + self.state.form % quoted(delta.text)

    def _text(self, index: int) -> bytes:
        """Nothing where its message is open already."""
        said = self.state
        place, owner = for_text(said.place, self._message_id, index)
        goes_on = bool(said.closing)
        opening = frame("TEXT_MESSAGE_START", messageId=owner, role="assistant")
        self.state = said._replace(
            part=index,
            form=delta_form("TEXT_MESSAGE_CONTENT", "messageId", owner),
            opening=opening,
            closing=frame("TEXT_MESSAGE_END", messageId=owner),
            place=place,
        )
        return b"" if goes_on else opening

    def _thought(self, index: int) -> bytes:
        own = part_id(self._message_id, index)
        start = frame("REASONING_MESSAGE_START", messageId=own, role="reasoning")
        said = self.state
        self.state = said._replace(
            part=index,
            form=delta_form("REASONING_MESSAGE_CONTENT", "messageId", own),
            opening=said.opening + start,
            closing=frame("REASONING_MESSAGE_END", messageId=own) + said.closing,
        )
        return start

    def _started(self, index: int, part: Part) -> bytes:
        if part.kind in {PartKind.TEXT, *BESIDE}:
            self.state = self.state._replace(part=-1, body=())
            if part.kind in {PartKind.SOURCE, PartKind.FILE}:
                return self._beside(index, part)
            return b""
        closing = self.close()
        said = self.state
        own = part_id(self._message_id, index)
        match part.kind:
            case PartKind.REASONING:
                opening, ending = frame("REASONING_START", messageId=own), frame("REASONING_END", messageId=own)
                self.state = said._replace(place=said.place.apart(), opening=opening, closing=ending)
                return closing + opening
            case PartKind.TOOL_CALL:
                return closing + self._call(index, part)
        self.state = said._replace(place=said.place.apart(), body=(), result=self._result_of(index, part))
        return closing

    def _call(self, index: int, part: Part) -> bytes:
        said, own, name = self.state, part_id(self._message_id, index), text_of_head(part, "id")
        place, owner = for_call(said.place, self._message_id, index)
        members = {"toolCallId": own, "toolCallName": text_of_head(part, "name") or "", "parentMessageId": owner}
        opening = frame("TOOL_CALL_START", **members, **ours(call_id=name))
        self.state = said._replace(
            part=index,
            form=delta_form("TOOL_CALL_ARGS", "toolCallId", own),
            opening=opening,
            closing=frame("TOOL_CALL_END", toolCallId=own),
            place=place,
            calls=said.calls if name is None else (*said.calls, (name, own)),
            unanswered=(*said.unanswered, Waiting(own, part)),
        )
        return opening

    def _ended(self, index: int, part: Part) -> bytes:
        said = self.state
        match part.kind:
            case PartKind.REASONING:
                return self.close()
            case PartKind.TOOL_CALL:
                *others, last = said.unanswered
                self.state = said._replace(unanswered=(*others, last._replace(call=part)))
                return self.close()
            case PartKind.TOOL_RESULT:
                return self._result()
            case PartKind.DATA:
                self.state = said._replace(part=-1, body=())
                whole = Part(part.kind, part.head, "".join(said.body), part.result, closed=True)
                return self._beside(index, whole)
        self.state = said._replace(part=-1)  # a text's message may go on
        return b""

    def _beside(self, index: int, part: Part) -> bytes:
        said = self.state
        return custom(self._message_id, index, part, said.place.current, dict(said.calls))

    def _result_of(self, index: int, part: Part) -> _Result:
        said = text_of_head(part, "call_id") or part_id(self._message_id, index)
        return _Result(index, dict(self.state.calls).get(said, said), text_of_head(part, "status"))

    def _result(self) -> bytes:
        said = self.state
        if said.result is None:
            return b""
        index, call_id, status = said.result
        unanswered = tuple(each for each in said.unanswered if each.call_id != call_id)
        self.state = said._replace(body=(), result=None, unanswered=unanswered)
        members = result_members(call_id, "".join(said.body), status)
        return told_result({"messageId": part_id(self._message_id, index), **members})
