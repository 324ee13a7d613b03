"""What pages of other origins may do (WHATWG Fetch, 3.3)."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from chatorch.entrypoints.common.origins import ANY, AllowedOrigins
from chatorch.entrypoints.common.problems import problem

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS = (
    # ours
    *("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-ID", "X-Correlation-ID"),
    # caches and clients
    *("Cache-Control", "Pragma", "Expires", "If-Match", "If-None-Match", "If-Modified-Since", "Range", "Priority"),
    *("X-Requested-With", "X-CSRF-Token", "X-XSRF-Token", "X-HTTP-Method-Override", "User-Agent", "DNT"),
    # tracing: W3C Trace Context and Baggage, Sentry, Zipkin, Jaeger, Datadog, New Relic, Elastic, Azure, AWS, Google
    *("Traceparent", "Tracestate", "Baggage", "Sentry-Trace", "B3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId"),
    *("X-B3-Sampled", "X-B3-Flags", "Uber-Trace-Id", "X-Datadog-Trace-Id", "X-Datadog-Parent-Id", "X-Datadog-Origin"),
    *("X-Datadog-Sampling-Priority", "X-Datadog-Tags", "Newrelic", "Elastic-Apm-Traceparent", "Request-Id"),
    *("Request-Context", "X-Amzn-Trace-Id", "X-Cloud-Trace-Context"),
    # OpenAI's client
    *("OpenAI-Organization", "OpenAI-Project", "OpenAI-Beta", "X-Stainless-Lang", "X-Stainless-Package-Version"),
    *("X-Stainless-OS", "X-Stainless-Arch", "X-Stainless-Runtime", "X-Stainless-Runtime-Version"),
    *("X-Stainless-Retry-Count", "X-Stainless-Timeout", "X-Stainless-Async", "X-Stainless-Helper-Method"),
)
"""What front ends send by themselves, or their libraries for them. None of it gives anybody a right but the first."""

RESPONSE_HEADERS = (
    "X-Request-ID",
    "Content-Location",
    "Retry-After",
    "RateLimit",
    "WWW-Authenticate",
    "Allow",
    "X-Chatorch-Run",
    "X-Should-Retry",
    "X-Vercel-AI-UI-Message-Stream",
)
"""What a page may read beside what every page may."""


class Cors(CORSMiddleware):
    """Asks the origins that the WebSocket asks, too. `request_headers` are allowed beside ours; ``*`` is all.

    Refuses a preflight with a problem, as everything is refused here.
    """

    def __init__(self, app: ASGIApp, *, origins: AllowedOrigins, request_headers: Collection[str] = ()) -> None:
        super().__init__(
            app,
            allow_origins=(ANY,) if origins.any else (),
            allow_methods=METHODS,
            allow_headers=(*REQUEST_HEADERS, *request_headers),
            expose_headers=RESPONSE_HEADERS,
            allow_private_network=True,  # the operator has named who may
        )
        self._origins = origins

    def is_allowed_origin(self, origin: str) -> bool:
        return self.allow_all_origins or self._origins.allows(origin)

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(_without_empty_names(request_headers))
        if response.status_code < 400:
            return response
        kept = {name: value for name, value in response.headers.items() if name.startswith(("access-", "vary"))}
        return problem(
            400,
            "cors_refused",
            "This origin, method or header is not allowed; see CHATORCH_CORS_ORIGINS and CHATORCH_CORS_HEADERS.",
            headers=kept,
        )


def _without_empty_names(headers: Headers) -> Headers:
    """Members of a list may be empty (RFC 9110, 5.6.1), and some send an empty list."""
    name = "access-control-request-headers"
    if name not in headers:
        return headers
    asked = [part for value in headers.getlist(name) for part in (part.strip() for part in value.split(",")) if part]
    rest = {other: value for other, value in headers.items() if other != name}
    return Headers(rest | ({name: ", ".join(asked)} if asked else {}))
