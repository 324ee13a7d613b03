"""What the widget makes of ChatKit's events: a thread of items, by the package's own types and its own rules."""

from collections.abc import Iterable
from typing import Any

from chatkit import types as kit
from pydantic import TypeAdapter

ITEM: TypeAdapter[Any] = TypeAdapter(kit.ThreadItem)
Shown = list[dict[str, Any]]


class Page:
    """`items` are those of a thread, in the order in which they were added. What cannot be shown fails here."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        self._items: dict[str, Any] = {item.id: item for item in items}
        self.removed = 0

    @property
    def items(self) -> Shown:
        return [shown(item) for item in self._items.values()]

    def show(self, events: Iterable[Any]) -> None:
        for event in events:
            match event:
                case kit.ThreadItemAddedEvent(item=item):
                    assert item.id not in self._items
                    self._items[item.id] = item.model_copy(deep=True)
                case kit.ThreadItemDoneEvent(item=item):
                    self._items[item.id] = item.model_copy(deep=True)
                case kit.ThreadItemReplacedEvent(item=item):
                    assert item.id in self._items
                    self._items[item.id] = item.model_copy(deep=True)
                case kit.ThreadItemRemovedEvent(item_id=item_id):
                    self.removed += 1
                    del self._items[item_id]
                case kit.ThreadItemUpdatedEvent(item_id=item_id, update=update):
                    _update(self._items[item_id], update)


def _update(item: Any, update: Any) -> None:
    match update:
        case kit.WorkflowTaskUpdated(task_index=index, task=task):
            item.workflow.tasks[index] = task
        case kit.WidgetComponentUpdated(component_id=component_id, component=component):
            children = item.widget.children
            [at] = [number for number, child in enumerate(children) if child.id == component_id]
            children[at] = component
        case kit.AssistantMessageContentPartAdded(content_index=index, content=content):
            assert index == len(item.content)
            item.content.append(content.model_copy(deep=True))
        case kit.AssistantMessageContentPartTextDelta(content_index=index, delta=delta):
            item.content[index].text += delta
        case kit.AssistantMessageContentPartAnnotationAdded(content_index=index, annotation_index=at):
            item.content[index].annotations.insert(at, update.annotation)
        case kit.AssistantMessageContentPartDone(content_index=index, content=content):
            item.content[index] = content.model_copy(deep=True)
        case _:
            raise AssertionError(update)


def shown(item: Any) -> dict[str, Any]:
    return item.model_dump(mode="json")
