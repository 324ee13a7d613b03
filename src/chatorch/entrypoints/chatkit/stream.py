"""ChatKit's events on their way: server-sent, without ids, so a client that returns loads the thread instead."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import structlog
from starlette.types import Scope, Send

from chatorch.entrypoints.chatkit.server import ThreadServer
from chatorch.entrypoints.chatkit.services import Services
from chatorch.entrypoints.common.pumped import PING, PING_AFTER_S, PumpedStream
from chatorch.entrypoints.common.run_responses import events_path

SILENT_FRAME = b"data: \n\n"
BROKEN_FRAME = b'data: {"type":"error","code":"stream.error","allow_retry":true}\n\n'

log = structlog.get_logger(__name__)


class ChatKitStream(PumpedStream):
    """`Content-Location` names the run, which the page's stop button cancels."""

    def __init__(
        self,
        services: Services,
        server: ThreadServer,
        *,
        scope: Scope | None = None,
        held: Callable[[Callable[[], object]], AbstractContextManager[object]] = nullcontext,
        ping_after_s: float = PING_AFTER_S,
    ) -> None:
        location = {} if server.run is None else {"Content-Location": events_path(scope or {}, server.run.id)}
        super().__init__(counted=services.counted, held=held, headers=location)
        self._server = server
        self._ping_after_s = ping_after_s

    async def pump(self, send: Send) -> None:
        try:
            await self.send(send, b"".join(self._server.head))
            await self._send_rest(send)
        except OSError:
            raise
        except Exception as error:
            log.error("chatkit_failed", exc_info=error)  # noqa: TRY400  # its text stays out
            await self.send(send, BROKEN_FRAME)
        finally:
            await self._server.leave()
            await self._server.rest.aclose()
        await self.send(send, b"", more=False)

    async def _send_rest(self, send: Send) -> None:
        sent_at = time.monotonic()
        async for frame in self._server.rest:
            silent = frame == SILENT_FRAME
            if silent and time.monotonic() - sent_at < self._ping_after_s:
                continue
            sent_at = time.monotonic()
            await self.send(send, PING if silent else frame)
