"""What the packages have in common that speak Responses."""

from typing import Any

import pytest

from tests.support.client_process import Call
from tests.support.lossy_line import LossyLine
from tests.support.server import Server

PIECES = ("Each ", "word ", "of ", "this", " is  a", " piece", ": é ", "漢字 ", "👩‍👩‍👧 ", "e", "nd.")
WHOLE = "".join(PIECES)
PATH = "POST /v1/responses"
_ERRORS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    409: "ConflictError",
    429: "RateLimitError",
}
REFUSED = {"openai-node": _ERRORS, "openai-python": _ERRORS}

each = pytest.mark.parametrize("name", ["openai-node", "openai-python"])


FILES = {"openai-node": "openai_responses.mjs", "openai-python": "openai_responses.py"}


def at(server: Server | LossyLine, token: str, **members: object) -> dict[str, object]:
    return {"url": server.url, "token": token, **members}


def events(call: Call) -> list[dict[str, Any]]:
    return [told["event"] for told in call.told("event")]


def dense(found: list[dict[str, Any]]) -> bool:
    """Every event once, in its order, from the first."""
    return [event["sequence_number"] for event in found] == list(range(len(found)))
