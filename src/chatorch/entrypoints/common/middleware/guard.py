"""What no route should have to think of: bodies over the cap, NUL in an address, and errors nobody expected."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from chatorch.entrypoints.common.disconnect import ClientLeft
from chatorch.entrypoints.common.middleware.body_cap import BodyTooLarge, CappedReceive, declared_length
from chatorch.entrypoints.common.middleware.exchange import Exchange
from chatorch.entrypoints.common.problems import http_problem, invalid
from chatorch.entrypoints.common.refused import refused_of


class Guard:
    """Stands inside CORS, so that its answers carry those headers too. `answer` turns an exception into a response.

    `large` is what is held while the body of a request is more than anybody may send, and raises where it may not be.
    An error after the response has begun is raised on: the server then breaks the connection, and the client knows.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        body_cap: int,
        answer: Callable[[Exception, Scope], Response],
        large: Callable[[Scope], AbstractAsyncContextManager[None]] | None = None,
    ) -> None:
        self._app = app
        self._large = large
        self._body_cap = body_cap
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = declared_length(scope)
        response = self._refusal(scope, length)
        if response is None:
            response = await self._pass_on(scope, receive, send, length)
        if response is not None:
            await response(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, length: int | None) -> Response | None:
        large = partial(self._large, scope) if self._large else None
        capped = CappedReceive(receive, self._body_cap, large, length)
        try:
            await self._app(scope, capped, send)
        except (ClientLeft, ClientDisconnect):
            pass
        except Exception as error:
            if Exchange.of(scope).started:
                raise
            return self._answer(error, scope)
        finally:
            await capped.aclose()
        return None

    def _refusal(self, scope: Scope, length: int | None) -> Response | None:
        if (refused := refused_of(scope)) is not None:
            return self._answer(refused, scope)
        # A parameter with NUL would get as far as PostgreSQL, whose text cannot hold it.
        if "\0" in scope["path"]:
            return http_problem(404)
        if b"%00" in scope["query_string"] or b"\0" in scope["query_string"]:
            return invalid([{"field": "query", "problem": "must not contain NUL"}])
        if length is not None and length > self._body_cap:
            return self._answer(BodyTooLarge(), scope)
        return None
