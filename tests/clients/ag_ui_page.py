"""What a page shows that has AG-UI's own client."""

import itertools
from typing import Any

from tests.support.client_process import Call
from tests.support.lossy_line import LossyLine
from tests.support.server import Server

POST = "POST /api/ag-ui"
PIECES = ("Each ", "word ", "of ", "this ", "is ", "a ", "piece: ", "é ", "漢字 ", "👩‍👩‍👧 ", "end.")
WHOLE = "".join(PIECES)
Json = dict[str, Any]

numbers = itertools.count(1)


def at(place: Server | LossyLine, token: str, tab: str, **more: Any) -> Json:
    return {"url": place.url, "token": token, "tab": tab, "thread": f"thread-of-{tab}", **more}


def shown(value: Json) -> list[tuple[str, Any]]:
    """What the page holds in the end."""
    return [(message["role"], message.get("content")) for message in value["messages"]]


def run_of(call: Call) -> str:
    return str(call.told("started")[-1]["ours"]["run_id"])
