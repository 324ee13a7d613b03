"""uvicorn, as this application wants it."""

import asyncio
import gc
import os
import signal
import socket
import sys
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import structlog
import uvicorn

from chatorch.domain.model.addresses import is_loopback
from chatorch.entrypoints.common.connection import HTTP
from chatorch.entrypoints.common.connection.caps import Caps, caps_for, raise_file_limit
from chatorch.entrypoints.common.proxies import trusts_peer
from chatorch.entrypoints.load_settings import unknown_settings
from chatorch.entrypoints.process.listening import BACKLOG, Endpoint, ServeRefused, told
from chatorch.entrypoints.process.logs import configure_logs
from chatorch.entrypoints.process.metric_files import MetricFiles
from chatorch.entrypoints.process.root_path import checked_prefix
from chatorch.entrypoints.process.server_config import OF_APPLICATION, ServerConfig
from chatorch.entrypoints.process.stoppable import StoppableServer
from chatorch.entrypoints.process.stopping import at_the_end, end_well
from chatorch.entrypoints.process.supervisor import Workers
from chatorch.entrypoints.settings import Settings

APP = "chatorch.entrypoints.app:create_app_from_environment"
KEEP_ALIVE_S = 75
"""Longer than the 60 s of common load balancers, which must be the ones to close an idle connection."""
AFTER_DRAIN_S = 1
"""For what is still open when our own drain has ended all runs."""
MAX_FRAME_BYTES = 64 * 1024
PING_S = 20.0

log = structlog.get_logger(__name__)


def run_server(settings: Settings, endpoint: Endpoint, *, workers: int, root_path: str = "") -> None:
    """Serves until a signal ends it. Raises `ServeRefused` before anything is started, `SystemExit` if that fails."""
    if workers > 1 and settings.redis_url is None:
        raise ServeRefused(
            "--workers: more than one needs REDIS_URL, because a run must be followed and cancelled from any of them"
        )
    prefix = checked_prefix(root_path)
    listener = endpoint.open()
    files = raise_file_limit()
    configure_logs(log_format=settings.log_format, level=settings.log_level)
    _say_what_is_set(settings, listener)
    log.info("starting", **told(listener), workers=workers, pid=os.getpid())
    uncapped = partial(trusts_peer, settings.trusted_proxies)
    caps = caps_for(files, settings.max_connections, settings.max_connections_per_address, uncapped)
    config = server_config(workers, ws_deflate=settings.ws_deflate, root_path=prefix, caps=caps)
    try:
        if workers > 1:
            metrics = MetricFiles.somewhere(workers)
            at_the_end(metrics.close)
            gc.enable()
            gc.freeze()  # or the collector walks through all modules at the end, for a third of a second
            sys.exit(asyncio.run(Workers(config, listener, metrics, settings.drain_limit_s).run()))
        else:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # uvicorn raises it again when it has stopped
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            StoppableServer(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
        end_well()


def _say_what_is_set(settings: Settings, listener: socket.socket) -> None:
    """What an operator may not have meant."""
    for line in unknown_settings():
        log.warning("setting_unknown", problem=line)
    if settings.offline:
        log.warning("model_offline", problem="neither OPENAI_API_KEY nor OPENAI_BASE_URL is set: answers are made up")
    else:
        for one in settings.chat_providers:
            name = {"provider": one.name} if one.name else {}
            log.info("model_provider", **name, host=urlsplit(one.base_url or "https://api.openai.com").hostname)
    for unused in settings.unused:
        log.warning("setting_unused", problem=f"{unused}: is used by no provider; the first one has its own settings")
    if settings.chatkit_workflows and settings.openai_api_key is None:
        log.warning("chatkit_without_key", problem="CHATORCH_CHATKIT_WORKFLOWS: is of no use without OPENAI_API_KEY")
    host = told(listener).get("host")
    if settings.metrics_token is None and not (host and is_loopback(str(host))):
        log.warning("metrics_closed", problem="CHATORCH_METRICS_TOKEN: is not set, so only loopback may read /metrics")


def server_config(
    workers: int = 1, *, ws_deflate: bool = False, root_path: str = "", caps: Caps | None = None
) -> uvicorn.Config:
    """The access log is ours, and so are all logs' shapes; versions are nobody's business."""
    return ServerConfig(
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
        root_path=root_path,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=AFTER_DRAIN_S,
    )


def websocket_options(*, deflate: bool = False, ping_s: float = PING_S) -> dict[str, Any]:
    """uvicorn's settings for WebSockets. Who does not answer a ping within `ping_s` is gone."""
    return {
        "ws": OF_APPLICATION,
        "ws_max_size": MAX_FRAME_BYTES,
        "ws_ping_interval": ping_s,
        "ws_ping_timeout": ping_s,
        "ws_per_message_deflate": deflate,
    }
