"""One request and its response, as the outermost layer sees them."""

from collections.abc import Awaitable

from starlette.types import Message, Receive, Scope, Send

from chatorch.entrypoints.common.request_id import HEADER
from chatorch.entrypoints.common.response_headers import sealed

SCOPE_KEY = "chatorch.exchange"
CLIENT_LEFT = 499
"""Recorded, never sent, where the client was gone before the response began (nginx's convention)."""


class Exchange:
    """Adds ``X-Request-ID`` and what every response has, and remembers the status: the `send` of everything inside.

    Not a coroutine function: a body message is handed on as it is, without another frame on the way.
    """

    __slots__ = ("_send", "receive", "request_id", "status")

    def __init__(self, request_id: str, send: Send, receive: Receive) -> None:
        self.request_id = request_id
        self.receive = receive
        self._send = send
        self.status = CLIENT_LEFT

    @classmethod
    def of(cls, scope: Scope) -> "Exchange":
        exchange: Exchange = scope[SCOPE_KEY]
        return exchange

    @property
    def started(self) -> bool:
        return self.status != CLIENT_LEFT

    @property
    def direct(self) -> Send:
        """The server's own `send`, past all middleware."""
        return self._send

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), (HEADER, self.request_id.encode("ascii"))]
            message = {**message, "headers": sealed(self.status, headers)}
        return self._send(message)


def frame_send(scope: Scope, send: Send) -> Send:
    """How to send body frames of a response that has begun: no middleware of ours looks at them, so past them all."""
    exchange: Exchange | None = scope.get(SCOPE_KEY)
    return send if exchange is None else exchange.direct


def late_receive(scope: Scope, receive: Receive) -> Receive:
    """How to hear that the client left once the response has begun: then no body is read, so none can be too large."""
    exchange: Exchange | None = scope.get(SCOPE_KEY)
    return receive if exchange is None else exchange.receive
