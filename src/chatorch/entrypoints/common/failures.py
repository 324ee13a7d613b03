"""What went wrong, before it has the form of any door; and the one table from the domain's errors to HTTP statuses."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from chatorch.domain.model import errors as e
from chatorch.domain.model.rates import Limit
from chatorch.domain.model.upstream_errors import (
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from chatorch.entrypoints.common.setting_names import detail_of

MAX_ERRORS = 20

STATUSES: dict[type[e.ChatorchError], int] = {
    e.ChatorchError: 500,
    e.InvalidRequest: 422,
    e.NotAuthenticated: 401,
    e.Forbidden: 403,
    e.NotFound: 404,
    e.Conflict: 409,
    e.TooMany: 429,
    e.Gone: 410,
    e.NotConfigured: 503,
    e.Unavailable: 503,
    UpstreamError: 502,
    UpstreamRateLimited: 503,
    UpstreamUnavailable: 503,
    UpstreamTimeout: 504,
}
"""An error that is not in it has the status of its nearest ancestor."""

FIELDS: dict[type[e.ChatorchError], str] = {
    e.RoleNotAllowed: "messages",
    e.ModelNotAllowed: "model",
    e.IdempotencyKeyReused: "Idempotency-Key",
}

CHALLENGES: dict[type[e.ChatorchError], str] = {
    e.NotAuthenticated: "Bearer",
    e.InvalidToken: 'Bearer error="invalid_token"',
    e.InsufficientScope: 'Bearer error="insufficient_scope"',
}
"""RFC 6750, 3: a request without any token gets no error code."""

TITLES = {e.ChatorchError.code: "Internal server error"}
INTERNAL_DETAIL = "An error occurred"

HTTP_ERRORS = {
    400: ("bad_request", "The request cannot be understood."),
    401: (e.NotAuthenticated.code, e.NotAuthenticated.default_detail),
    403: (e.Forbidden.code, e.Forbidden.default_detail),
    404: (e.NotFound.code, "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take this method; see Allow."),
    413: ("content_too_large", "The body is larger than this server takes."),
    414: ("uri_too_long", "The address is longer than this server takes."),
    415: ("unsupported_media_type", "The body must be JSON, and Content-Type must say so."),
    426: ("upgrade_required", "This address is for WebSockets only; see Upgrade."),
    431: ("headers_too_large", "The headers are more, or longer, than this server takes."),
    500: (e.ChatorchError.code, INTERNAL_DETAIL),
}
"""Words of our own: those of `http.HTTPStatus` differ between versions of Python."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request is answered with `status`, from 400 on: all that a door's error form may tell.

    `code` is stable, `detail` for people and safe to show. `errors` are ``{"field", "problem"}``, `run_id` is the run
    that is concerned, `error` the code of RFC 6749. `again`: who asks again at once may be answered, whatever the
    status says. `headers` go with every form of it. `logged` is for operators only.
    """

    status: int
    code: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    errors: Sequence[Mapping[str, str]] | None = None
    run_id: str | None = None
    again: bool = False
    logged: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", self.detail.encode("utf-8", "backslashreplace").decode())

    @property
    def title(self) -> str:
        return TITLES.get(self.code) or self.code.replace("_", " ").capitalize()

    @property
    def told(self) -> dict[str, object]:
        """For the request's line in the log: code and detail as the client has them, and `logged` over them."""
        told = {"code": self.code, "detail": self.detail, "run_id": self.run_id, **self.logged}
        return {name: value for name, value in told.items() if value is not None}


def domain_failure(error: e.ChatorchError) -> Failure:
    """`run_id` is passed on where the error carries one."""
    status = _nearest(STATUSES, type(error)) or 500
    headers: dict[str, str] = {}
    if challenge := _nearest(CHALLENGES, type(error)):
        headers["WWW-Authenticate"] = challenge
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["Retry-After"] = seconds(retry_after)
    if isinstance(error, e.TooMany) and error.limit is not None:
        headers |= limit_headers(error.limit)
    return Failure(
        status,
        error.code,
        detail_of(error) if status != HTTPStatus.INTERNAL_SERVER_ERROR else INTERNAL_DETAIL,
        headers,
        error="invalid_grant" if isinstance(error, e.InvalidGrant) else None,
        errors=_field_errors(error) if isinstance(error, e.InvalidRequest) or hasattr(error, "field") else None,
        run_id=getattr(error, "run_id", None),
        logged=for_operators(error),
    )


def http_failure(status: int, headers: Mapping[str, str] | None = None) -> Failure:
    """A plain HTTP error such as 404 or 405. Its code is ``http_<status>`` where `HTTP_ERRORS` has no better."""
    code, detail = HTTP_ERRORS.get(status, (f"http_{status}", f"The answer is HTTP status {status}."))
    return Failure(status, code, detail, headers or {})


def invalid_fields(errors: Sequence[Mapping[str, str]], *, total: int | None = None) -> Failure:
    """422 for fields that are wrong. `errors` are ``{"field", "problem"}`` and never repeat the input.

    `total`: how many there are, where `errors` are only the first of them.
    """
    detail = "; ".join(f"{item['field']}: {item['problem']}" for item in errors[:3])
    more = (total or len(errors)) - 3
    detail += f"; and {more} more" if more > 0 else ""
    return Failure(422, e.InvalidRequest.code, detail, errors=errors[:MAX_ERRORS])


def status_of_code(code: str) -> int:
    """The status of the domain error with this code, 500 for a code that none has."""
    return _statuses_by_code().get(code, 500)


def seconds(value: float) -> str:
    """For ``Retry-After``: whole seconds, rounded up, at least one (RFC 9110, 10.2.3)."""
    return str(max(math.ceil(value), 1)) if math.isfinite(value) else "1"


def limit_headers(limit: Limit) -> dict[str, str]:
    """A limit that is reached (draft-ietf-httpapi-ratelimit-headers-10)."""
    window = f"w={math.ceil(limit.window_s)}" if limit.window_s is not None else 'qu="concurrent-requests"'
    return {
        "RateLimit": f'"{limit.name}";r=0;t={seconds(limit.reset_s)}',
        "RateLimit-Policy": f'"{limit.name}";q={limit.quota};{window}',
    }


def for_operators(error: e.ChatorchError) -> dict[str, object]:
    """What an outage was, or a provider's failure, in words that only the log gets."""
    match error:
        case e.StoreUnavailable():
            return {"cause": error.reason}
        case UpstreamError():
            return {"cause": error.cause, "upstream_status": error.status}
    return {}


def _field_errors(error: e.ChatorchError) -> list[dict[str, str]]:
    """Of what is no request's own fault, too, where a door's error names the `field` that it is about."""
    if isinstance(error, e.InvalidField):
        problem = detail_of(error) if error.detail == error.default_detail else error.problem
        return [{"field": error.field, "problem": problem}]
    if (field := getattr(error, "field", None)) is not None:
        return [{"field": field, "problem": getattr(error, "problem", detail_of(error))}]
    return [{"field": FIELDS.get(type(error), "body"), "problem": detail_of(error)}]


def _nearest(table: Mapping[type[e.ChatorchError], Any], kind: type[e.ChatorchError]) -> Any:
    return next((table[cls] for cls in kind.__mro__ if cls in table), None)


def _statuses_by_code() -> dict[str, int]:
    found: dict[str, int] = {}
    waiting: list[type[e.ChatorchError]] = [e.ChatorchError]
    while waiting:
        kind = waiting.pop()
        found[kind.code] = _nearest(STATUSES, kind)
        waiting.extend(kind.__subclasses__())
    return found
