"""A message of ours as the messages that AG-UI shows for it, from what is stored."""

from collections.abc import Iterator
from itertools import chain

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import Message, MessageId, MessageStatus, Role
from chatorch.domain.model.parts import Part, PartKind
from chatorch.entrypoints.ag_ui.events import Json, frame, ours
from chatorch.entrypoints.ag_ui.placement import Place, for_call, for_text, part_id
from chatorch.entrypoints.common.parts import NOT_EXECUTED, data_of, head_view

RESULT = "result"
BESIDE = frozenset({PartKind.SOURCE, PartKind.FILE, PartKind.DATA})
"""What AG-UI has no message for: events that are named after their kind."""


def messages_of(message: Message, content: Content | None = None) -> list[Json]:
    """`content`, where it is fresher than the message's own."""
    if message.role is Role.ASSISTANT:
        over = message.status is not MessageStatus.STREAMING
        return answer_messages(message.id, message.whole if content is None else content, over=over)
    return [{"id": message.id, "role": message.role.value, "content": message.content}]


def answer_messages(message_id: MessageId, content: Content, *, over: bool) -> list[Json]:
    """In the order in which their events came. `over`: the run has ended, so nobody will answer its calls."""
    answer = _Answer(message_id)
    for index, part in content.shown():
        answer.add(index, part, over=over)
    return answer.shown(over=over)


def beside(message_id: MessageId, content: Content) -> Iterator[bytes]:
    """The events of what is told beside messages."""
    place = Place()
    for index, part in content.shown():
        if part.kind is PartKind.TEXT and part.body:
            place, _ = for_text(place, message_id, index)
        elif part.kind is PartKind.TOOL_CALL:
            place, _ = for_call(place, message_id, index)
        elif part.kind in {PartKind.REASONING, PartKind.TOOL_RESULT}:
            place = place.apart()
        elif part.kind in BESIDE and (part.closed or part.kind is not PartKind.DATA):
            yield custom(message_id, index, part, place.current)


def custom(message_id: MessageId, index: int, part: Part, current: str | None) -> bytes:
    """``{"id", "messageId", …}``: what it is beside, and for data what it says."""
    view = {name: value for name, value in head_view(part).items() if name != "type"}
    if part.kind is PartKind.DATA:
        view["data"] = data_of(part)
    value = {**view, "id": part_id(message_id, index), "messageId": current or message_id}
    return frame("CUSTOM", name=part.kind.value, value=value)


def text_of_head(part: Part, name: str) -> str | None:
    value = part.head.get(name)
    return value if isinstance(value, str) and value else None


def result_members(call_id: str, content: str, status: str | None) -> Json:
    """What is said of a call's result, in an event and in a message. `call_id` is the call's own here."""
    return {"toolCallId": call_id, "content": content, "role": "tool", **ours(status=status)}


def unanswered_members(call_id: str) -> tuple[str, Json]:
    """Id and members of what is said of a call that nobody carried out. A client would else answer it itself."""
    return f"{call_id}.{RESULT}", result_members(call_id, f'{{"status":"{NOT_EXECUTED}"}}', NOT_EXECUTED)


class _Answer:
    """Its messages as far as they are known: put together as clients put them together of the events."""

    def __init__(self, message_id: MessageId) -> None:
        self._message_id = message_id
        self._place = Place()
        self._rows: list[list[Json]] = [[]]  # a message, and the results that stand behind it
        self._row_of: dict[str, list[Json]] = {}
        self._calls: dict[str, str] = {}
        self._unanswered: dict[str, None] = {}

    def add(self, index: int, part: Part, *, over: bool) -> None:
        match part.kind:
            case PartKind.TEXT if part.body:
                self._place, owner = for_text(self._place, self._message_id, index)
                message = self._assistant(owner)
                message["content"] = message.get("content", "") + part.body
            case PartKind.TOOL_CALL:
                self._call(index, part)
            case PartKind.TOOL_RESULT:
                self._place = self._place.apart()
                if part.closed or over:
                    self._result(index, part)
            case PartKind.REASONING:
                self._place = self._place.apart()
                if part.body:
                    own = part_id(self._message_id, index)
                    self._rows.append([{"id": own, "role": "reasoning", "content": part.body}])

    def shown(self, *, over: bool) -> list[Json]:
        for call_id in self._unanswered if over else ():
            result_id, members = unanswered_members(call_id)
            self._answer({"id": result_id, **members})
        return list(chain.from_iterable(self._rows))

    def _call(self, index: int, part: Part) -> None:
        self._place, owner = for_call(self._place, self._message_id, index)
        call_id = part_id(self._message_id, index)
        function = {"name": text_of_head(part, "name") or "", "arguments": part.body}
        said = text_of_head(part, "id")
        call = {"id": call_id, "type": "function", "function": function, **ours(call_id=said)}
        self._assistant(owner).setdefault("toolCalls", []).append(call)
        self._row_of[call_id] = self._rows[-1]
        self._unanswered[call_id] = None
        if said is not None:
            self._calls[said] = call_id

    def _result(self, index: int, part: Part) -> None:
        own = part_id(self._message_id, index)
        said = text_of_head(part, "call_id") or own
        call_id = self._calls.get(said, said)
        self._unanswered.pop(call_id, None)
        self._answer({"id": own, **result_members(call_id, part.body, text_of_head(part, "status"))})

    def _answer(self, result: Json) -> None:
        """Behind the message with its call and what answers that already; at the end where there is no such call."""
        self._row_of.get(result["toolCallId"], self._rows[-1]).append(result)

    def _assistant(self, owner: str) -> Json:
        """The one that goes on is always the last."""
        if not self._rows[-1] or self._rows[-1][0]["id"] != owner:
            self._rows.append([{"id": owner, "role": "assistant"}])
        return self._rows[-1][0]
