"""Requests that are refused before any route is asked, by the connection that they came on. They are problems too."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import Scope

SCOPE_KEY = "chatorch.refused"

BROKEN = (400, "bad_request", "This is no request of HTTP/1.1 (RFC 9112)")
URI_TOO_LONG = (414, "uri_too_long", "The address is longer than this server takes.")
HEAD_TOO_LARGE = (431, "headers_too_large", "The headers are more, or longer, than this server takes.")
HEAD_LATE = (408, "request_timeout", "The head of the request did not come in time.")
BODY_LATE = (408, "request_timeout", "The body of the request did not come in time.")
UNKNOWN_CODING = (501, "unknown_transfer_coding", "Of transfer codings this server knows chunked only.")
UNKNOWN_VERSION = (505, "unknown_http_version", "This server speaks HTTP/1.1 and HTTP/1.0.")
TOO_MANY_CONNECTIONS = (503, "too_many_connections", "Too many connections are open; try again later.")
RETRY_AFTER_S = "5"


class RequestRefused(HTTPException):
    """Raised while the body is read, so it passes through FastAPI as what it is. The connection ends with the answer.

    `code` and `detail` are those of the problem, and repeat nothing that the client sent.
    """

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, {"Connection": "close", **(headers or {})})
        self.code = code


def broken(why: str) -> RequestRefused:
    """400. `why` is a phrase of ours, or of the parser's."""
    status, code, detail = BROKEN
    return RequestRefused(status, code, f"{detail}: {why}.")


def too_many_connections() -> RequestRefused:
    return RequestRefused(*TOO_MANY_CONNECTIONS, {"Retry-After": RETRY_AFTER_S})


def refused_of(scope: Scope) -> RequestRefused | None:
    """Why this request must be refused whatever it is; None for one that is whole so far."""
    refused: RequestRefused | None = scope.get(SCOPE_KEY)
    return refused
