"""What a run says in words, as items of a response: a message, a reasoning.

Each kind of item says how it looks, and which events open and close it. Texts that follow each other are one message,
with the sources between them as its annotations. Calls of tools are in `call_items`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.parts import Facts, PartKind
from chatorch.entrypoints.openai.responses.ids import part_item_id

Json = dict[str, Any]
Event = tuple[str, Json]
"""The type of an event, and its members but for the number."""

IN_PROGRESS = "in_progress"
COMPLETED = "completed"
INCOMPLETE = "incomplete"

SAID = frozenset({PartKind.TEXT, PartKind.REASONING})
"""Kinds of which every part is an item, or a piece of one; a source is a piece of a message."""


@dataclass(frozen=True, slots=True)
class Item(ABC):
    """One item, but for its text. `kind` is that of the parts whose text it has; `delta` the event that tells some."""

    id: str

    kind: ClassVar[PartKind]
    delta: ClassVar[str]
    delta_extra: ClassVar[bytes] = b""

    @abstractmethod
    def view(self, text: str, status: str) -> Json: ...

    @abstractmethod
    def opening(self, place: int) -> Iterator[Event]:
        """What comes behind ``response.output_item.added``."""
        ...

    @abstractmethod
    def closing(self, place: int, text: str) -> Iterator[Event]:
        """What comes before ``response.output_item.done``."""
        ...

    def where(self, place: int) -> Json:
        """`place` is its index in the output."""
        return {"item_id": self.id, "output_index": place}


@dataclass(frozen=True, slots=True)
class TextItem(Item):
    annotations: tuple[Json, ...] = ()

    @abstractmethod
    def content_part(self, text: str) -> Json: ...

    def where(self, place: int) -> Json:
        return {"item_id": self.id, "output_index": place, "content_index": 0}

    def opening(self, place: int) -> Iterator[Event]:
        yield "response.content_part.added", {**self.where(place), "part": self.content_part("")}

    def closing(self, place: int, text: str) -> Iterator[Event]:
        yield "response.content_part.done", {**self.where(place), "part": self.content_part(text)}


@dataclass(frozen=True, slots=True)
class MessageItem(TextItem):
    kind = PartKind.TEXT
    delta = "response.output_text.delta"
    delta_extra = b',"logprobs":[]'

    def view(self, text: str, status: str) -> Json:
        content = [self.content_part(text)] if text or self.annotations or status != IN_PROGRESS else []
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}

    def content_part(self, text: str) -> Json:
        return {"type": "output_text", "annotations": list(self.annotations), "logprobs": [], "text": text}

    def closing(self, place: int, text: str) -> Iterator[Event]:
        yield "response.output_text.done", {**self.where(place), "text": text, "logprobs": []}
        yield from TextItem.closing(self, place, text)


@dataclass(frozen=True, slots=True)
class ReasoningItem(TextItem):
    kind = PartKind.REASONING
    delta = "response.reasoning_text.delta"

    def view(self, text: str, status: str) -> Json:
        content = [self.content_part(text)] if text or status != IN_PROGRESS else []
        return {"id": self.id, "type": "reasoning", "summary": [], "content": content, "status": status}

    def content_part(self, text: str) -> Json:
        return {"type": "reasoning_text", "text": text}

    def closing(self, place: int, text: str) -> Iterator[Event]:
        yield "response.reasoning_text.done", {**self.where(place), "text": text}
        yield from TextItem.closing(self, place, text)


def item_at(run_id: RunId, index: int, kind: PartKind) -> TextItem:
    """The item of text that begins with this part."""
    of_kind = ReasoningItem if kind is PartKind.REASONING else MessageItem
    return of_kind(part_item_id(run_id, kind, index))


def annotation(head: Facts, chars: int) -> Json:
    """A source, behind so many characters of the message."""
    url, title, file_id = (str(head.get(name) or "") for name in ("url", "title", "file_id"))
    if url or not file_id:
        place = {"start_index": chars, "end_index": chars}
        return {"type": "url_citation", "url": url, "title": title or url, **place}
    return {"type": "file_citation", "file_id": file_id, "filename": title or file_id, "index": chars}
