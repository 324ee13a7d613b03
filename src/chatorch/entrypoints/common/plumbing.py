"""Puts together what every request passes: what proxies say, the access layer, then CORS, then the guard."""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI
from starlette.types import ASGIApp, Scope

from chatorch.entrypoints.common.counters import Counters
from chatorch.entrypoints.common.door import Doors
from chatorch.entrypoints.common.error_responses import install_error_handlers
from chatorch.entrypoints.common.middleware.access_log import Access
from chatorch.entrypoints.common.middleware.cors import Cors
from chatorch.entrypoints.common.middleware.guard import Guard
from chatorch.entrypoints.common.middleware.proxied import Proxied
from chatorch.entrypoints.common.origins import AllowedOrigins
from chatorch.entrypoints.common.proxies import TrustedProxies


def install_plumbing(
    app: FastAPI,
    *,
    doors: Doors,
    metrics: Counters,
    body_cap: int,
    cors_origins: Collection[str] = (),
    cors_headers: Collection[str] = (),
    trusted_proxies: Collection[str] = (),
    debug: bool = False,
    large: Callable[[Scope], AbstractAsyncContextManager[None]] | None = None,
    inside: Callable[[ASGIApp], ASGIApp] = lambda app: app,
) -> None:
    """To be called last: other middleware must lie inside, where its errors are answered like any other.

    `inside` is put right inside the access layer, so that what it answers is logged.
    The access layer also lies outside of what Starlette itself puts outermost, which would wrap every frame's `send`.
    """
    responses = install_error_handlers(app, doors, debug=debug)
    app.add_middleware(Guard, body_cap=body_cap, answer=responses.answer, large=large)
    if origins := AllowedOrigins(cors_origins):
        app.add_middleware(Cors, origins=origins, request_headers=cors_headers)
    access = Access(inside(app.build_middleware_stack()), metrics=metrics, origins=origins)
    app.middleware_stack = Proxied(access, proxies=TrustedProxies(trusted_proxies), doors=doors)
