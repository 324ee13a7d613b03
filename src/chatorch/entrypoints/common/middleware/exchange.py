"""One request and its response, as the outermost layer sees them."""

from collections.abc import Awaitable, Callable

from starlette.types import Message, Receive, Scope, Send

from chatorch.entrypoints.common.request_id import HEADER
from chatorch.entrypoints.common.response_headers import sealed

SCOPE_KEY = "chatorch.exchange"
CLIENT_LEFT = 499
"""Recorded, never sent, where the client was gone before the response began (nginx's convention)."""

Rest = Callable[[Receive, Send], Awaitable[None]]
"""What is left of a response once it has begun."""


class Exchange:
    """Adds ``X-Request-ID`` and what every response has, and remembers the status: the `send` of everything inside.

    Not a coroutine function: a body message is handed on as it is, without another frame on the way.
    """

    __slots__ = ("_send", "request_id", "rest", "status")

    def __init__(self, request_id: str, send: Send) -> None:
        self.request_id = request_id
        self._send = send
        self.status = CLIENT_LEFT
        self.rest: Rest | None = None

    @classmethod
    def of(cls, scope: Scope) -> "Exchange":
        exchange: Exchange = scope[SCOPE_KEY]
        return exchange

    @property
    def started(self) -> bool:
        return self.status != CLIENT_LEFT

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), (HEADER, self.request_id.encode("ascii"))]
            message = {**message, "headers": sealed(self.status, headers)}
        return self._send(message)


async def go_on(scope: Scope, receive: Receive, send: Send, rest: Rest) -> None:
    """Has a response that has begun sent to its end by `rest`: past all middleware, which looks at none of its frames.

    By the outermost layer, and not before everything inside has returned: the frames that a request is in, its body
    and what was made of it are half of what a stream takes. No body is read any more, so none can be too large.
    """
    exchange: Exchange | None = scope.get(SCOPE_KEY)
    if exchange is None:
        await rest(receive, send)
    else:
        exchange.rest = rest
