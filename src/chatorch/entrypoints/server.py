"""uvicorn, as this application wants it."""

import asyncio
import errno
import gc
import os
import signal
import socket
import sys
from typing import Any
from urllib.parse import urlsplit

import structlog
import uvicorn

from chatorch.domain.model.addresses import is_loopback
from chatorch.entrypoints.http.connection import HTTP
from chatorch.entrypoints.http.connection.admission import CappedConfig, Caps, caps_for, raise_file_limit
from chatorch.entrypoints.logs import configure_logs
from chatorch.entrypoints.settings import Settings, unknown_settings
from chatorch.entrypoints.workers import Workers
from chatorch.entrypoints.ws.wire import WS

APP = "chatorch.entrypoints.app:create_app_from_environment"
BACKLOG = 2048
KEEP_ALIVE_S = 75
"""Longer than the 60 s of common load balancers, which must be the ones to close an idle connection."""
AFTER_DRAIN_S = 1
"""For what is still open when our own drain has ended all runs."""
MAX_FRAME_BYTES = 64 * 1024
PING_S = 20.0
UNREAD_MS = 90_000
"""How long sent bytes may stay unacknowledged before the kernel breaks the connection (tcp(7))."""

log = structlog.get_logger(__name__)


class ServeRefused(Exception):
    """The server was not started. The text says why, and what to do."""


def run_server(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serves until a signal ends it. Raises `ServeRefused` before anything is started, `SystemExit` if that fails."""
    if workers > 1 and settings.redis_url is None:
        raise ServeRefused(
            "--workers: more than one needs REDIS_URL, because a run must be followed and cancelled from any of them"
        )
    listener = _listen(host, port)
    files = raise_file_limit()
    configure_logs(log_format=settings.log_format, level=settings.log_level)
    for line in unknown_settings():
        log.warning("setting_unknown", problem=line)
    if settings.offline:
        log.warning("model_offline", problem="neither OPENAI_API_KEY nor OPENAI_BASE_URL is set: answers are made up")
    else:
        log.info("model_provider", host=urlsplit(settings.openai_base_url or "https://api.openai.com").hostname)
    if settings.chatkit_workflows and settings.openai_api_key is None:
        log.warning("chatkit_without_key", problem="CHATORCH_CHATKIT_WORKFLOWS: is of no use without OPENAI_API_KEY")
    address = listener.getsockname()
    if settings.metrics_token is None and not is_loopback(str(address[0])):
        log.warning("metrics_closed", problem="CHATORCH_METRICS_TOKEN: is not set, so only loopback may read /metrics")
    log.info("starting", host=address[0], port=address[1], workers=workers, pid=os.getpid())
    caps = caps_for(files, settings.max_connections, settings.max_connections_per_address)
    config = server_config(workers, ws_deflate=settings.ws_deflate, caps=caps)
    try:
        if workers > 1:
            gc.enable()
            gc.freeze()  # or the collector walks through all modules at the end, for a third of a second
            sys.exit(asyncio.run(Workers(config, listener, settings.drain_limit_s).run()))
        else:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again when it has stopped
            uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()


def server_config(workers: int = 1, *, ws_deflate: bool = False, caps: Caps | None = None) -> uvicorn.Config:
    """The access log is ours, and so are all logs' shapes; versions are nobody's business."""
    return CappedConfig(
        APP,
        caps=caps,
        factory=True,
        workers=workers,
        loop="uvloop",
        http=HTTP,
        lifespan="on",
        **websocket_options(deflate=ws_deflate),
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,  # `Proxied` does it; uvicorn's trusts whoever is on loopback
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=AFTER_DRAIN_S,
    )


def websocket_options(*, deflate: bool = False, ping_s: float = PING_S) -> dict[str, Any]:
    """uvicorn's settings for WebSockets. Who does not answer a ping within `ping_s` is gone."""
    return {
        "ws": WS,
        "ws_max_size": MAX_FRAME_BYTES,
        "ws_ping_interval": ping_s,
        "ws_ping_timeout": ping_s,
        "ws_per_message_deflate": deflate,
    }


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = {
            errno.EADDRINUSE: "is in use already; choose another --port",
            errno.EACCES: "needs more rights; choose a --port above 1023",
            errno.EADDRNOTAVAIL: "is no address of this machine; choose another --host",
        }.get(error.errno or 0, "cannot be listened on")
        raise ServeRefused(f"{host}:{port} {why}") from None
    listener.set_inheritable(True)
    # Accepted sockets inherit it. Without it, one whose client reads nothing stays for as long as that client likes.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
    return listener
