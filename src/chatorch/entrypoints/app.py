"""The application: routes on a container. Importing this does nothing."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dependency_injector.ext.starlette import Lifespan
from fastapi import FastAPI

from chatorch import __version__
from chatorch.entrypoints.api.routes import broadcast, chat, health, home, identity, runs, threads
from chatorch.entrypoints.chatkit_hosted import route as chatkit
from chatorch.entrypoints.common.large_bodies import LargeBodies
from chatorch.entrypoints.common.middleware.started import Started
from chatorch.entrypoints.common.openapi import install_openapi
from chatorch.entrypoints.common.plumbing import install_plumbing
from chatorch.entrypoints.common.unread import Unread
from chatorch.entrypoints.container import Container
from chatorch.entrypoints.metrics import route as operation
from chatorch.entrypoints.process.logs import configure_logs
from chatorch.entrypoints.settings import load_settings
from chatorch.entrypoints.ws import route as chat_socket

GC_THRESHOLD = 10_000


def create_app(container: Container) -> FastAPI:
    """The ASGI application on this container, whose `lifetime` begins and ends with the application's lifespan."""
    settings = container.settings()
    app = FastAPI(
        title="chatorch",
        version=__version__,
        description="A chat backend: one run, any door, nothing lost.",
        lifespan=_lifespan,
        redirect_slashes=False,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
    )
    app.state.container = container
    app.state.started = False
    app.state.unread = Unread()
    # The busiest first, for each request is held against the routes in this order. Not included: FastAPI would keep
    # each router apart, and look through them for as long again.
    for topic in (chat, runs, threads, identity, chatkit, broadcast, health, operation, home):
        app.router.routes.extend(topic.router.routes)
    if settings.serves_chatkit:
        from chatorch.entrypoints.chatkit import route as widget  # noqa: PLC0415  # slow, large and optional

        app.router.routes.extend(widget.router.routes)
    app.router.routes.extend([*chat_socket.router.routes, *chat_socket.routes])
    install_openapi(app)
    install_plumbing(
        app,
        metrics=container.metrics(),
        body_cap=settings.body_cap_bytes,
        cors_origins=settings.cors_origins,
        cors_headers=settings.cors_headers,
        trusted_proxies=settings.trusted_proxies,
        debug=settings.debug,
        large=LargeBodies(container.identify, guests=settings.anonymous_chat).of,
        inside=Started,
    )
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Lifespan(app.state.container):
        app.state.started = True
        try:
            yield
        finally:
            app.state.started = False


def create_app_from_environment() -> FastAPI:
    """For a server that takes a factory, in whichever process it calls it. Raises `SettingsError`."""
    settings = load_settings()
    configure_logs(log_format=settings.log_format, level=settings.log_level)
    app = create_app(Container(settings=settings))
    _spare_the_collector()
    return app


def _spare_the_collector() -> None:
    """What is there now stays for good, so the garbage collector need not walk it again and again.

    Requests make few cycles; with Python's own threshold of 700 objects the collector ran several times a request.
    """
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)
