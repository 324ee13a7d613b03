"""How much of an answer a follower was told in chunks, who can be told nothing twice.

Only what these clients are told counts: texts, what the model thinks, sources, and calls that are theirs to carry out.
What is done here, how that gets on, and what comes of it may be another the second time, or stand in other places.
"""

from zlib import crc32

from chatorch.domain.model.content import PartDelta, PartEnded, PartStarted
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.tools import CarriedOutBy

PartEvent = PartDelta | PartStarted | PartEnded

Told = tuple[int, int, int, int]
"""How much that is, a checksum of it, how many calls began, and how the last one stands (`CLOSED` and so on)."""

CLOSED, BARE, ARGUED = 0, 1, 2
"""No call is open; one is, without arguments so far; with some."""
NOTHING_TOLD: Told = (0, 0, 0, CLOSED)

WORDS = {PartKind.TEXT: "content", PartKind.REASONING: "reasoning_content"}
"""What has its words in a delta, and by which name."""


def is_clients(call: Part) -> bool:
    """Whether it is a call that the client is to carry out. One that nobody offered is nobody's."""
    return call.kind is PartKind.TOOL_CALL and call.head.get("by") == CarriedOutBy.CLIENT


def chars_told(told: Told, event: PartEvent) -> int:
    """Of a delta, which may be told in part."""
    if isinstance(event, PartDelta) and (event.kind in WORDS or _argues(told, event)):
        return len(event.text)
    return 0


def after(told: Told, event: PartEvent) -> Told:
    length, checksum, calls, call = told
    match event:
        case PartDelta(text=text):
            if _argues(told, event):
                call = ARGUED if text.strip() else call
            elif event.kind not in WORDS:
                return told
            return length + len(text), crc32(text.encode(), checksum), calls, call
        case PartStarted(part=part):
            if is_clients(part):
                said = f"{part.kind}\0{part.head['id']}\0{part.head['name']}\0"
                return length + 1, crc32(said.encode(), checksum), calls + 1, BARE
            if part.kind in WORDS or part.kind is PartKind.SOURCE:
                said = f"{part.kind}\0{part.head.get('url', '')}\0"
                return length + 1, crc32(said.encode(), checksum), calls, CLOSED
            return length, checksum, calls, CLOSED
        case PartEnded():
            if call == BARE:
                return length + 1, crc32(b"\0", checksum), calls, CLOSED
            return length, checksum, calls, CLOSED


def _argues(told: Told, event: PartDelta) -> bool:
    return event.kind is PartKind.TOOL_CALL and told[3] != CLOSED
