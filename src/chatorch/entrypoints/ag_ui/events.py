"""AG-UI's events as frames: server-sent, ``data:`` only."""

from typing import Any

import msgspec

Json = dict[str, Any]

OURS = "chatorch"
"""The name below which `metadata` has what the protocol has no word for."""

quoted = encode = msgspec.json.Encoder().encode


def frame(event: str, **members: object) -> bytes:
    return b"data: %b\n\n" % encode({"type": event, **members})


def delta_form(event: str, name: str, entity_id: str) -> bytes:
    """What `%` makes the frame of a delta, with its `quoted` text: that is once a token."""
    head = encode({"type": event, name: entity_id})[:-1].replace(b"%", b"%%")
    return b"data: " + head + b',"delta":%b}\n\n'


def ours(**members: object) -> Json:
    """`metadata` with what is known of these."""
    known = {name: value for name, value in members.items() if value is not None}
    return {"metadata": {OURS: known}} if known else {}
