"""An application whose lifetime never began must not answer: nothing would save its runs, nor end those of the dead."""

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from chatorch.entrypoints.common.problems import problem

log = structlog.get_logger(__name__)


class Started:
    """Refuses everything until the application's lifespan has begun: `app.state.started` says so.

    A server runs the lifespan of the application that it was given, and of none that is mounted in it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._said = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["app"].state.started:
            await self._app(scope, receive, send)
            return
        detail = (
            "This application was not started: whoever mounts it must run its lifespan; see docs/mounting.md, "
            "or start it by `chatorch serve`."
        )
        if not self._said:
            self._said = True
            log.error("not_started", problem=detail)
        await problem(503, "not_started", detail, headers={"Retry-After": "5"})(scope, receive, send)
