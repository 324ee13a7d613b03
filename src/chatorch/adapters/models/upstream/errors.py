"""The one mapping from what httpx2 and aiohttp raise, and what a provider says, to our upstream errors.

The errors of an SDK on httpx2 need no name here: they hold the response, or have been raised from what httpx2 raised.
A detail holds a status at most: nothing of a body, an address or a header, for a provider may echo the key.
Raise what these return outside the `except` block, so that no traceback carries the library's error along.
"""

import email.utils
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import aiohttp
import httpx2

from chatorch.adapters.models.upstream.causes import network_cause
from chatorch.domain.model.upstream_errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamInvalid,
    UpstreamModelUnknown,
    UpstreamMoved,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnusable,
)

LIBRARY_ERRORS = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    aiohttp.ClientError,
    OSError,  # TimeoutError is one
)
"""An SDK's own root belongs beside them where an SDK is used."""

MAX_RETRY_AFTER = 86_400.0

_CODES: tuple[tuple[tuple[str, ...], int], ...] = (
    (("rate_limit", "too_many_requests", "insufficient_quota"), 429),
    (("invalid_api_key", "authentication", "permission"), 401),
    (("overloaded", "unavailable"), 503),
    (("timeout", "timed_out"), 504),
    (("server_error", "internal"), 500),
    (("not_found",), 404),
    (("invalid_request", "context_length_exceeded"), 400),
)

_REASON = re.compile(
    rb'"(content_filter|content_policy_violation|context_length_exceeded|data_inspection_failed|invalid_image_url'
    rb'|invalid_prompt|max_tokens_exceeded|model_not_found|string_above_max_length|unsupported_model)"',
    re.IGNORECASE,
)
"""Codes in the body of a refusal that are safe to show, because they are these words and nothing else."""

_MEANT = (
    (re.compile(rb"(?i)invalid[_ ]api[_ ]key|api[_ ]key[_ ](?:not[_ ]valid|invalid)|incorrect api key"), 401),
    (re.compile(rb"(?i)insufficient_(?:quota|balance)|credit balance|billing[_ ]"), 402),
    (
        re.compile(
            rb"(?i)model_not_(?:found|supported|exist)|(?:invalid|unsupported|unknown)[_ ]model|not a valid model"
            rb"|no models? (?:is )?loaded|model [^\n]{1,80}(?:not found|does not exist|not exist)"
        ),
        404,
    ),
)
"""What some servers say with a 400, and others with a status of its own."""

_NO_QUOTA = re.compile(rb"(?i)insufficient_(?:quota|balance)|exceeded your current quota|credit balance|billing")
"""What some say with a 429, which waiting does not help."""

_OF_THE_ADDRESS = frozenset({402, 405, 406, 407, 410, 411, 415, 421, 426, 431})
"""No credit, a wrong path, a proxy between: nothing that another message would change."""


class Unreached(httpx2.ConnectError):
    """To be tried again; `cause` is for the log, in words of ours."""

    def __init__(self, cause: str | None) -> None:
        self.cause = cause
        super().__init__(cause or "")


class Late(TimeoutError):
    """One of our own deadlines has passed; its text says which."""


def failure_of(error: BaseException) -> UpstreamError:
    """What an exception out of `LIBRARY_ERRORS`, or of an SDK's, means, and why it came. Ours pass through."""
    failure = _meaning_of(error)
    if failure.cause is None and failure is not error:
        failure.cause = _cause_of(error)
    return failure


def _cause_of(error: BaseException) -> str | None:
    for link in _links(error):
        if isinstance(link, Unreached):
            return link.cause
        if isinstance(link, Late):
            return str(link)
        if isinstance(link, httpx2.ConnectTimeout):
            return "no connection in time: something drops what is sent there; see {address}, and firewalls"
    return network_cause(error)


def _links(error: BaseException) -> tuple[BaseException, ...]:
    """The error, and what an SDK made it of."""
    inner = error.__cause__ or error.__context__
    return (error,) if inner is None else (error, inner)


def _meaning_of(error: BaseException) -> UpstreamError:
    if isinstance(error, UpstreamError):
        return error
    answer = getattr(error, "response", None)
    if isinstance(answer, httpx2.Response):
        # An SDK that does not complain of the status does so of what came with it.
        return UpstreamInvalid() if answer.is_success else failure_of_response(answer)
    for link in _links(error):
        match link:
            case httpx2.TimeoutException() | TimeoutError():
                return UpstreamTimeout()
            case httpx2.HTTPError() | aiohttp.ClientError() | OSError():
                return UpstreamUnavailable()
    return UpstreamError()


def failure_of_response(answer: httpx2.Response) -> UpstreamError:
    """What an answer means whose status is no success. Of its body counts what has been read."""
    try:
        body = answer.content
    except httpx2.ResponseNotRead:
        body = b""
    return failure_of_status(answer.status_code, answer.headers, body)


def failure_of_status(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> UpstreamError:
    """What an HTTP status other than 2xx means.

    `headers` (names in any case) may hold the wait that it asks for, `body` one of the reasons that everybody knows.
    """
    failure = _meaning_of_status(status, headers, body)
    failure.status = status
    if status == 429 and _NO_QUOTA.search(body):
        failure.cause = "its account has no quota or credit left, as it says"
    return failure


def _meaning_of_status(status: int, headers: Mapping[str, str] | None, body: bytes) -> UpstreamError:
    retry_after = retry_after_seconds(headers) if headers is not None else None
    reason = _REASON.search(body)
    because = f" ({reason[1].decode()})" if reason else ""
    detail = f"The model's provider answered with status {status}{because}."
    if status in (400, 422):
        status = next((meant for words, meant in _MEANT if words.search(body)), status)
    match status:
        case 401 | 403:
            return UpstreamAuthFailed()
        case 429:
            return UpstreamRateLimited(retry_after=retry_after)
        case 408 | 504:
            return UpstreamTimeout(retry_after=retry_after)
        case 502 | 503:
            return UpstreamUnavailable(detail, retry_after=retry_after)
        case 404:
            return UpstreamModelUnknown(f"{detail} Is the model's name right, and {{address}}?")
        case _ if status in _OF_THE_ADDRESS:
            return UpstreamUnusable(f"{detail} It takes no request of ours; see {{address}}, and the account.")
        case _ if 300 <= status < 400:
            return UpstreamMoved(f"{detail} A redirect like this is not followed; see {{address}}.")
        case _ if status >= 500 or status == 409:
            return UpstreamError(detail, retry_after=retry_after)
    return UpstreamRejected(detail)


def failure_in_stream(error: object) -> UpstreamError:
    """What an error object in a stream means: ``{"message", "type", "code"}``, where `code` may be an HTTP status."""
    words: list[str] = []
    if isinstance(error, dict):
        for member in (error.get("code"), error.get("status"), error.get("type")):
            if isinstance(member, int) and 400 <= member < 600:
                return failure_of_status(member)
            words.append(str(member).lower())
    for word in words:
        if word.isdecimal() and len(word) == 3 and word[0] in "45":
            return failure_of_status(int(word))
        for parts, status in _CODES:
            if any(part in word for part in parts):
                return _without_status(failure_of_status(status))
    return UpstreamError()


def retry_after_seconds(
    headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> float | None:
    """`Retry-After-Ms`, which some send, or `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), in seconds.

    None where there is none that makes sense; never negative, and a day at most.
    """
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / divisor
        except ValueError:
            continue
        return min(max(seconds, 0.0), MAX_RETRY_AFTER) if math.isfinite(seconds) else None
    try:
        until = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, OverflowError):  # the latter for a year that no calendar has
        return None
    seconds = (until.replace(tzinfo=until.tzinfo or UTC) - now()).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _without_status(failure: UpstreamError) -> UpstreamError:
    """No status was seen, so the detail must not name one."""
    return type(failure)(retry_after=failure.retry_after)
