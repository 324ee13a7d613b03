"""A message of ours as the messages that AG-UI shows for it, from what is stored."""

from collections.abc import Iterator

from chatorch.domain.model.calls import Standing
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import MessageId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.tools import CallStatus
from chatorch.entrypoints.ag_ui.calls import CallNames, as_message, result_members, settled, stand_in
from chatorch.entrypoints.ag_ui.events import Json, frame, ours
from chatorch.entrypoints.ag_ui.placement import Place, for_call, for_text, part_id
from chatorch.entrypoints.common.parts import data_of, head_view

BESIDE = frozenset({PartKind.SOURCE, PartKind.FILE, PartKind.DATA})
"""What AG-UI has no message for: events that are named after their kind."""
NONE_BEFORE: CallNames = {}
OPEN = frozenset({CallStatus.PENDING, CallStatus.RUNNING})
"""Of a call that stands so, a result may still come."""


def answer_messages(
    message_id: MessageId, content: Content, standing: Standing, calls: CallNames = NONE_BEFORE
) -> list[Json]:
    """As clients put them together of their events. `calls` are those before it in its turn."""
    return settled(told_messages(message_id, content, standing, calls))


def told_messages(message_id: MessageId, content: Content, standing: Standing, calls: CallNames) -> list[Json]:
    """In the order in which their events came."""
    answer = _Answer(message_id, standing, calls)
    for index, part in content.shown():
        answer.add(index, part)
    return answer.told()


def names_of_calls(message_id: MessageId, content: Content) -> dict[str, str]:
    """What its calls are called here, by what the model calls them; of two of one name it is the later one."""
    named = ((text_of_head(part, "id"), part_id(message_id, index)) for index, part in calls_of(content))
    return {said: own for said, own in named if said is not None}


def calls_of(content: Content) -> Iterator[tuple[int, Part]]:
    return ((index, part) for index, part in content.shown() if part.kind is PartKind.TOOL_CALL)


def beside(message_id: MessageId, content: Content, calls: CallNames = NONE_BEFORE) -> Iterator[bytes]:
    """The events of what is told beside messages."""
    place, calls = Place(), dict(calls)
    for index, part in content.shown():
        if part.kind is PartKind.TEXT and part.body:
            place, _ = for_text(place, message_id, index)
        elif part.kind is PartKind.TOOL_CALL:
            place, _ = for_call(place, message_id, index)
            if said := text_of_head(part, "id"):
                calls[said] = part_id(message_id, index)
        elif part.kind in {PartKind.REASONING, PartKind.TOOL_RESULT}:
            place = place.apart()
        elif part.kind in BESIDE and (part.closed or part.kind is not PartKind.DATA):
            yield custom(message_id, index, part, place.current, calls)


def custom(message_id: MessageId, index: int, part: Part, current: str | None, calls: CallNames) -> bytes:
    """``{"id", "messageId", …}``: what it is beside, and for data what it says, and of which call."""
    view = {name: value for name, value in head_view(part).items() if name != "type"}
    if part.kind is PartKind.DATA:
        view["data"] = data_of(part)
        if said := text_of_head(part, "call_id"):
            view["toolCallId"] = calls.get(view.pop("call_id"), said)
    value = {**view, "id": part_id(message_id, index), "messageId": current or message_id}
    return frame("CUSTOM", name=part.kind.value, value=value)


def text_of_head(part: Part, name: str) -> str | None:
    value = part.head.get(name)
    return value if isinstance(value, str) and value else None


class _Answer:
    """Its messages as far as they are known."""

    def __init__(self, message_id: MessageId, standing: Standing, calls: CallNames) -> None:
        self._message_id = message_id
        self._standing = standing
        self._place = Place()
        self._told: list[Json] = []
        self._calls = dict(calls)
        self._unanswered: dict[str, Part] = {}

    def add(self, index: int, part: Part) -> None:
        match part.kind:
            case PartKind.TEXT if part.body:
                self._place, owner = for_text(self._place, self._message_id, index)
                message = self._assistant(owner)
                message["content"] = message.get("content", "") + part.body
            case PartKind.TOOL_CALL:
                self._call(index, part)
            case PartKind.TOOL_RESULT:
                self._place = self._place.apart()
                if part.closed:
                    self._result(index, part)
            case PartKind.REASONING:
                self._place = self._place.apart()
                if part.body:
                    own = part_id(self._message_id, index)
                    self._told.append({"id": own, "role": "reasoning", "content": part.body})

    def told(self) -> list[Json]:
        """With a word about each call of which nothing will be heard."""
        if not self._standing.live:
            for call_id, call in self._unanswered.items():
                status = self._standing.status_of(call)
                if status not in OPEN and call.head.get("id") not in self._standing.answered:
                    self._told.append(as_message(stand_in(call_id, status)))
        return self._told

    def _call(self, index: int, part: Part) -> None:
        self._place, owner = for_call(self._place, self._message_id, index)
        call_id = part_id(self._message_id, index)
        function = {"name": text_of_head(part, "name") or "", "arguments": part.body}
        said = text_of_head(part, "id")
        call = {"id": call_id, "type": "function", "function": function, **ours(call_id=said)}
        self._assistant(owner).setdefault("toolCalls", []).append(call)
        self._unanswered[call_id] = part
        if said is not None:
            self._calls[said] = call_id

    def _result(self, index: int, part: Part) -> None:
        own = part_id(self._message_id, index)
        said = text_of_head(part, "call_id") or own
        call_id = self._calls.get(said, said)
        self._unanswered.pop(call_id, None)
        self._told.append({"id": own, **result_members(call_id, part.body, text_of_head(part, "status"))})

    def _assistant(self, owner: str) -> Json:
        """The one that goes on: between what it says and its calls only results are told."""
        last = next((message for message in reversed(self._told) if message["role"] != "tool"), None)
        if last is None or last["id"] != owner:
            last = {"id": owner, "role": "assistant"}
            self._told.append(last)
        return last
