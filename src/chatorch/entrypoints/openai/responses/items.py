"""What a run says, as items of a response: a message, a reasoning.

Texts that follow each other are one message, with the sources between them as its annotations. Of other parts there
are no items: to these clients a call of a function is theirs to carry out, and they have offered none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.parts import Facts, Part, PartKind
from chatorch.entrypoints.openai.responses.ids import part_item_id

Json = dict[str, Any]

IN_PROGRESS = "in_progress"
COMPLETED = "completed"
INCOMPLETE = "incomplete"

SAID = frozenset({PartKind.TEXT, PartKind.REASONING})
"""Kinds that there are items of, besides the sources in them."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item, but for its text. `index` is that of its first part."""

    id: str
    kind: PartKind
    index: int
    annotations: tuple[Json, ...] = ()

    def view(self, text: str, status: str) -> Json:
        if self.kind is PartKind.REASONING:
            content = [reasoning_text(text)] if text or status != IN_PROGRESS else []
            return {"id": self.id, "type": "reasoning", "summary": [], "content": content, "status": status}
        content = [self.output_text(text)] if text or self.annotations or status != IN_PROGRESS else []
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}

    def output_text(self, text: str) -> Json:
        return {"type": "output_text", "annotations": list(self.annotations), "logprobs": [], "text": text}

    def content_part(self, text: str) -> Json:
        return reasoning_text(text) if self.kind is PartKind.REASONING else self.output_text(text)


def reasoning_text(text: str) -> Json:
    return {"type": "reasoning_text", "text": text}


def item_at(run_id: RunId, index: int, kind: PartKind) -> Item:
    """The item that begins with this part."""
    return Item(part_item_id(run_id, kind, index), kind, index)


def annotation(head: Facts, chars: int) -> Json:
    """A source, behind so many characters of the message."""
    url, title, file_id = (str(head.get(name) or "") for name in ("url", "title", "file_id"))
    if url or not file_id:
        place = {"start_index": chars, "end_index": chars}
        return {"type": "url_citation", "url": url, "title": title or url, **place}
    return {"type": "file_citation", "file_id": file_id, "filename": title or file_id, "index": chars}


def output_of(run_id: RunId, content: Content, status: str) -> Iterator[Json]:
    """All items; the last one has this status where it is not whole, which only the end of the run may tell."""
    message: Item | None = None
    text = ""
    last = len(content.parts) - 1
    for index, part in enumerate(content.parts):
        if part.kind is PartKind.SOURCE:
            message = message or item_at(run_id, index, PartKind.TEXT)
            said = (*message.annotations, annotation(part.head, len(text)))
            message = Item(message.id, message.kind, message.index, annotations=said)
        elif part.kind is PartKind.TEXT:
            if part.body:
                message = message or item_at(run_id, index, PartKind.TEXT)
                text += part.body
        elif part.kind in SAID:
            if message is not None:
                yield message.view(text, COMPLETED)
            message, text = None, ""
            yield item_at(run_id, index, part.kind).view(part.body, _status(part, status, is_last=index == last))
    if message is not None:
        yield message.view(text, status)


def _status(part: Part, status: str, *, is_last: bool) -> str:
    return status if is_last and not part.closed else COMPLETED
