"""The application: routes on a container. Importing this does nothing."""

import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from dependency_injector.ext.starlette import Lifespan
from fastapi import FastAPI

from chatorch import __version__
from chatorch.entrypoints.common.door import Door, Doors
from chatorch.entrypoints.common.large_bodies import LargeBodies
from chatorch.entrypoints.common.middleware.started import Started
from chatorch.entrypoints.common.openapi import install_openapi
from chatorch.entrypoints.common.plumbing import install_plumbing
from chatorch.entrypoints.common.unread import Unread
from chatorch.entrypoints.container import Container
from chatorch.entrypoints.doors import open_doors
from chatorch.entrypoints.load_settings import load_settings
from chatorch.entrypoints.process.logs import configure_logs

GC_THRESHOLD = 10_000


def create_app(container: Container, doors: Sequence[Door] | None = None) -> FastAPI:
    """The ASGI application on this container, whose `lifetime` begins and ends with the application's lifespan.

    `doors` are those that `open_doors` finds switched on, unless others are given. Raises `ValueError` where two of
    them cannot stand beside each other.
    """
    settings = container.settings()
    opened = Doors(open_doors(settings) if doors is None else doors)
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
    app.state.websocket = opened.websocket
    # Not included: FastAPI would keep each router apart, and look through them for as long again.
    app.router.routes.extend(opened.routes)
    install_openapi(app, opened)
    install_plumbing(
        app,
        doors=opened,
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
