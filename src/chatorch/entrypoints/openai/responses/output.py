"""All that a run has said, as items: what its events add up to."""

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.entrypoints.openai.responses.call_items import (
    ApprovalItem,
    AskedCalls,
    McpCallItem,
    answers_call,
    approved_item,
    call_item,
)
from chatorch.entrypoints.openai.responses.ids import part_item_id
from chatorch.entrypoints.openai.responses.items import (
    COMPLETED,
    IN_PROGRESS,
    INCOMPLETE,
    SAID,
    Json,
    MessageItem,
    annotation,
    item_at,
)

NOTHING_ASKED: AskedCalls = {}


def output_of(run_id: RunId, content: Content, status: str, asked: AskedCalls = NOTHING_ASKED) -> list[Json]:
    """All items; the last one has this status where it is not whole, which only the end of the run may tell.

    `asked` are the calls that earlier responses of the turn asked for.
    """
    said = _Output(run_id, status, asked)
    last = len(content.parts) - 1
    for index, part in enumerate(content.parts):
        said.add(index, part, is_last=index == last)
    return said.all()


class _Output:
    def __init__(self, run_id: RunId, status: str, asked: AskedCalls) -> None:
        self._run_id = run_id
        self._status = status
        self._asked = asked
        self._items: list[Json] = []
        self._waiting: dict[str, tuple[int, McpCallItem, str]] = {}
        self._message: MessageItem | None = None
        self._text = ""

    def add(self, index: int, part: Part, *, is_last: bool) -> None:
        status = self._status if is_last and not part.closed else COMPLETED
        match part.kind:
            case PartKind.SOURCE:
                message = self._open_message(index)
                said = (*message.annotations, annotation(part.head, len(self._text)))
                self._message = MessageItem(message.id, said)
            case PartKind.TEXT:
                if part.body:
                    self._open_message(index)
                    self._text += part.body
            case PartKind.TOOL_CALL:
                self._call(index, part, status)
            case PartKind.TOOL_RESULT:
                self._result(index, part)
            case _ if part.kind in SAID:
                self._close_message(COMPLETED)
                self._items.append(item_at(self._run_id, index, part.kind).view(part.body, status))

    def all(self) -> list[Json]:
        self._close_message(self._status)
        return self._items

    def _call(self, index: int, part: Part, status: str) -> None:
        item = call_item(self._run_id, index, part)
        if item is None:
            return
        self._close_message(COMPLETED)
        if isinstance(item, ApprovalItem) and not (part.closed and item.asks(part.body)):
            return
        if isinstance(item, McpCallItem) and part.closed:
            status = IN_PROGRESS if self._status == IN_PROGRESS else INCOMPLETE
            self._waiting[item.call_id] = len(self._items), item, part.body
        self._items.append(item.view(part.body, status))

    def _result(self, index: int, part: Part) -> None:
        if not answers_call(part):
            return
        call_id = str(part.head["call_id"])
        if call_id in self._waiting:
            self._close_message(COMPLETED)
            if part.closed:
                place, item, arguments = self._waiting.pop(call_id)
                self._items[place] = item.answered(arguments, part.head, part.body)
        elif call_id in self._asked:
            self._close_message(COMPLETED)
            if part.closed:
                asked = self._asked[call_id]
                item = approved_item(self._run_id, index, asked)
                self._items.append(item.answered(asked.call.body, part.head, part.body))

    def _open_message(self, index: int) -> MessageItem:
        if self._message is None:
            self._message = MessageItem(part_item_id(self._run_id, PartKind.TEXT, index))
        return self._message

    def _close_message(self, status: str) -> None:
        if self._message is not None:
            self._items.append(self._message.view(self._text, status))
        self._message, self._text = None, ""
