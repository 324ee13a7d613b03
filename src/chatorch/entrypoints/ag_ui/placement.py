"""Which of AG-UI's messages a part of ours is shown in.

One message of ours is a row of theirs: texts with the calls that follow them in one message, a text behind a call in a
message of its own, each thought and each result in one of its own. The first has the id of ours; every other one is
named after it and the part that it begins with: ``msg_1.2``. So ids are the same at every replay, and from storage.
"""

from typing import NamedTuple

from chatorch.domain.model.conversation import MessageId


class Place(NamedTuple):
    """Where the parts so far have led: which message goes on, and whether it has calls already."""

    named: bool = False
    current: str | None = None
    has_calls: bool = False

    def apart(self) -> "Place":
        """Behind something that has a message of its own."""
        return Place(self.named)


def part_id(message_id: MessageId, index: int) -> str:
    return f"{message_id}.{index}"


def for_text(place: Place, message_id: MessageId, index: int) -> tuple[Place, str]:
    if place.current is not None and not place.has_calls:
        return place, place.current
    owner = _next_id(place, message_id, index)
    return Place(named=True, current=owner), owner


def for_call(place: Place, message_id: MessageId, index: int) -> tuple[Place, str]:
    owner = place.current or _next_id(place, message_id, index)
    return Place(named=True, current=owner, has_calls=True), owner


def _next_id(place: Place, message_id: MessageId, index: int) -> str:
    return part_id(message_id, index) if place.named else message_id
