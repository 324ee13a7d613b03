"""A run's events as ChatKit's, encoded once and past pydantic: that takes twice as long as all the rest, per token."""

from datetime import datetime

import msgspec

from chatorch.domain.model.conversation import ThreadId
from chatorch.domain.model.parts import Facts
from chatorch.entrypoints.chatkit.part_items import Json, annotation

_encode = msgspec.json.Encoder().encode


class Encoded:
    """An event that is JSON already. The package hands on whatever it does not know."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


SILENT = Encoded(b"")
"""Nothing to tell; there may be reason for a sign of life."""


class AnswerFrames:
    """The events of one assistant message, from its begin to its end, and of the items that stand beside it."""

    def __init__(self, message_id: str, thread_id: ThreadId, created_at: datetime) -> None:
        self._message_id = message_id
        self._placed = {"id": message_id, "thread_id": thread_id, "created_at": created_at}
        self._delta_form, self._delta_of = self._form(0), 0

    def begin(self) -> list[Encoded]:
        return [self.item("added", self._message([])), self.part_added(0)]

    def part_added(self, index: int) -> Encoded:
        return self._updated("added", index, content=_empty())

    def delta(self, text: str, index: int) -> Encoded:
        if index != self._delta_of:
            self._delta_form, self._delta_of = self._form(index), index
        return Encoded(self._delta_form % _encode(text))

    def annotation(self, index: int, number: int, source: Facts) -> Encoded:
        return self._updated("annotation_added", index, annotation_index=number, annotation=annotation(source))

    def removed(self, item_id: str) -> Encoded:
        """Nothing was said in it."""
        return Encoded(_encode({"type": "thread.item.removed", "item_id": item_id}))

    def replaced(self, contents: list[Json]) -> Encoded:
        """Whatever was shown before."""
        return self.item("replaced", self._message(contents or [_empty()]))

    def end(self, contents: list[Json]) -> list[Encoded]:
        """`contents` as they are stored, so that reading the thread shows the same."""
        done = [self._updated("done", index, content=content) for index, content in enumerate(contents or [_empty()])]
        return [*done, self.item("done", self._message(contents))]

    def task(self, item_id: str, task: Json) -> Encoded:
        update = {"type": "workflow.task.updated", "task_index": 0, "task": task}
        return Encoded(_encode({"type": "thread.item.updated", "item_id": item_id, "update": update}))

    def component(self, item_id: str, component: Json) -> Encoded:
        """A part of a widget that has an id."""
        update = {"type": "widget.component.updated", "component_id": component["id"], "component": component}
        return Encoded(_encode({"type": "thread.item.updated", "item_id": item_id, "update": update}))

    def item(self, event: str, item: Json) -> Encoded:
        return _item(event, item)

    def _message(self, contents: list[Json]) -> Json:
        return {**self._placed, "type": "assistant_message", "content": contents}

    def _form(self, index: int) -> bytes:
        head, tail = self._updated("text_delta", index, delta="|").data.split(b'"|"')
        return head.replace(b"%", b"%%") + b"%b" + tail.replace(b"%", b"%%")

    def _updated(self, kind: str, index: int, **members: object) -> Encoded:
        update = {"type": f"assistant_message.content_part.{kind}", "content_index": index, **members}
        return Encoded(_encode({"type": "thread.item.updated", "item_id": self._message_id, "update": update}))


def replaced(item: Json) -> Encoded:
    return _item("replaced", item)


def _item(event: str, item: Json) -> Encoded:
    return Encoded(_encode({"type": f"thread.item.{event}", "item": item}))


def _empty() -> Json:
    return {"type": "output_text", "text": "", "annotations": []}
