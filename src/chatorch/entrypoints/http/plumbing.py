"""Puts together what every request passes: the access layer outside, then CORS, then the guard."""

from collections.abc import Collection

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from chatorch.entrypoints.http.errors import install_error_handlers
from chatorch.entrypoints.http.middleware.access import Access
from chatorch.entrypoints.http.middleware.guard import Guard
from chatorch.entrypoints.http.problems import problem
from chatorch.entrypoints.metrics import Metrics

CORS_METHODS = ("GET", "POST", "PATCH", "DELETE")
CORS_REQUEST_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-ID")
CORS_RESPONSE_HEADERS = ("X-Request-ID", "Content-Location", "Retry-After", "WWW-Authenticate")


class Cors(CORSMiddleware):
    """Refuses a preflight with a problem, as everything is refused here."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        kept = {name: value for name, value in response.headers.items() if name.startswith(("access-", "vary"))}
        return problem(
            400,
            "cors_refused",
            "This origin, method or header is not allowed; see CHATORCH_CORS_ORIGINS.",
            headers=kept,
        )


def install_plumbing(
    app: FastAPI, *, metrics: Metrics, body_cap: int, cors_origins: Collection[str] = (), debug: bool = False
) -> None:
    """To be called last: other middleware must lie inside, where its errors are answered like any other.

    The access layer also lies outside of what Starlette itself puts outermost, which would wrap every frame's `send`.
    """
    responses = install_error_handlers(app, debug=debug)
    app.add_middleware(Guard, body_cap=body_cap, answer=responses.answer)
    if cors_origins:
        app.add_middleware(
            Cors,
            allow_origins=sorted(cors_origins),
            allow_methods=CORS_METHODS,
            allow_headers=CORS_REQUEST_HEADERS,
            expose_headers=CORS_RESPONSE_HEADERS,
        )
    app.middleware_stack = Access(app.build_middleware_stack(), metrics=metrics)
