"""How a request to a server fails below the protocol: as an error response of our own, so that it fails alone.

The official package ends a whole session, and with it all calls, when one HTTP request of it breaks off.
"""

from mcp_types import ErrorData

NEVER_SENT = -31901
"""The server was not reached, so nothing of the request was carried out."""
SESSION_UNKNOWN = -31905
"""The server has no such session any more (404), so it did not look at the request either."""
LOST = -31902
"""The connection broke off, or was given up, after the request had been sent."""
TOO_LARGE = -31903
REFUSED = -31904
"""An HTTP status, a redirect or a body that the protocol does not have."""

TOO_LARGE_MARK = "byte limit"
"""Ends up in the text of the package's own error for an answer or an event that is too large."""


def error(code: int, said: str = "") -> ErrorData:
    """`said` is of our words."""
    return ErrorData(code=code, message=said or _SAID[code])


_SAID = {
    NEVER_SENT: "it cannot be reached",
    SESSION_UNKNOWN: "it does not know the session",
    LOST: "the connection broke off",
    TOO_LARGE: "the answer is too large",
    REFUSED: "the answer is of a form that the protocol does not have",
}
OURS = frozenset(_SAID)
