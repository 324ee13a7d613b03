"""What a client calls its user's messages, as it is kept in their metadata."""

from collections.abc import Mapping
from typing import Any

MAX_ID_CHARS = 255
_NAME = "ag_ui"


def is_ours(message_id: object) -> bool:
    """Whether it begins as our own ids of messages do, and those of all that is shown of an answer."""
    return isinstance(message_id, str) and message_id.startswith("msg_")


def kept(client_id: str) -> dict[str, Any]:
    """As metadata."""
    return {_NAME: {"id": client_id}}


def client_id_in(metadata: Mapping[str, Any]) -> str | None:
    """Only what `kept` may have made: at other doors, metadata is the user's to write."""
    match metadata.get(_NAME):
        case {"id": str(name), **more} if not more and 1 <= len(name) <= MAX_ID_CHARS:
            return name
    return None
