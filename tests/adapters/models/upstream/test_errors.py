"""The one mapping of errors."""

from datetime import UTC, datetime

import aiohttp
import httpx2
import pytest

from chatorch.adapters.models.upstream.errors import (
    LIBRARY_ERRORS,
    failure_in_stream,
    failure_of,
    failure_of_status,
    retry_after_seconds,
)
from chatorch.domain.model.upstream_errors import (
    SettingNames,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamInvalid,
    UpstreamModelUnknown,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnusable,
)

REQUEST = httpx2.Request("POST", "http://user:pass@example.test/")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UpstreamRejected),
        (401, UpstreamAuthFailed),
        (402, UpstreamUnusable),
        (403, UpstreamAuthFailed),
        (404, UpstreamModelUnknown),
        (405, UpstreamUnusable),
        (407, UpstreamUnusable),
        (408, UpstreamTimeout),
        (409, UpstreamError),
        (413, UpstreamRejected),
        (422, UpstreamRejected),
        (429, UpstreamRateLimited),
        (500, UpstreamError),
        (502, UpstreamUnavailable),
        (503, UpstreamUnavailable),
        (504, UpstreamTimeout),
        (529, UpstreamError),
    ],
)
def test_every_status_means_one_error(status: int, kind: type[UpstreamError]) -> None:
    failure = failure_of_status(status)
    assert type(failure) is kind
    assert failure.retryable is not issubclass(kind, UpstreamRejected | UpstreamAuthFailed)
    assert failure.refuses_message is (kind is UpstreamRejected)
    response = httpx2.Response(status, request=REQUEST, headers={"retry-after": "7"}, text="the body")
    raised = failure_of(httpx2.HTTPStatusError("the body", response=response, request=REQUEST))
    assert type(raised) is kind
    assert "body" not in repr(raised)


def test_an_answer_that_was_not_read_is_known_by_its_status() -> None:
    response = httpx2.Response(400, request=REQUEST, stream=httpx2.ByteStream(b"content_filter"))
    assert type(failure_of(httpx2.HTTPStatusError("?", response=response, request=REQUEST))) is UpstreamRejected


def test_an_error_says_in_whose_words_its_settings_are_named() -> None:
    assert failure_of_status(404).detail.endswith("Is the model's name right, and its address?")
    names = SettingNames(address="LOCAL_URL", key="LOCAL_KEY", model="LOCAL_MODELS")
    assert failure_of_status(404).named(names).detail.endswith("Is the model's name right, and LOCAL_URL?")
    assert str(failure_of_status(401).named(names)).endswith("see LOCAL_KEY.")
    assert UpstreamModelUnknown().named(names).detail.endswith("see LOCAL_MODELS and LOCAL_URL.")
    unreached = failure_of(httpx2.ConnectTimeout("?"))
    assert "see its address" in str(unreached.cause)
    assert "see LOCAL_URL" in str(unreached.named(names).cause)
    assert "{" not in f"{unreached!r}{unreached}{unreached.cause}"


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b'{"error": {"code": "content_filter", "message": "secret words"}}', UpstreamRejected, " (content_filter)."),
        (b'{"code":"context_length_exceeded"}', UpstreamRejected, " (context_length_exceeded)."),
        (b'{"error": {"code": "model_not_found"}}', UpstreamModelUnknown, " (model_not_found)."),
        (b'{"error": {"message": "Model `x` does not exist"}}', UpstreamModelUnknown, "400"),
        (b'{"error": "No models loaded. Please load one."}', UpstreamModelUnknown, "400"),
        (
            b'{"error": {"message": "API key not valid.", "status": "INVALID_ARGUMENT"}}',
            UpstreamAuthFailed,
            "its key",
        ),
        (b'{"error": {"message": "Your credit balance is too low"}}', UpstreamUnusable, "the account"),
        (b'{"error": {"code": "secret_words"}}', UpstreamRejected, " 400."),
        (b"content_filter", UpstreamRejected, " 400."),
    ],
)
def test_a_reason_that_everybody_knows_is_told(body: bytes, kind: type[UpstreamError], reason: str) -> None:
    failure = failure_of_status(400, {}, body)
    assert type(failure) is kind
    assert reason in failure.detail
    assert "secret" not in failure.detail


@pytest.mark.parametrize("status", [429, 503, 500, 504])
def test_the_wait_that_a_status_asks_for_is_kept(status: int) -> None:
    assert failure_of_status(status, {"retry-after": "7"}).retry_after == 7


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx2.InvalidURL("?"), UpstreamError),
        (httpx2.ConnectTimeout("?"), UpstreamTimeout),
        (httpx2.ReadError("?"), UpstreamUnavailable),
        (httpx2.RemoteProtocolError("?"), UpstreamUnavailable),
        (aiohttp.ClientPayloadError("?"), UpstreamUnavailable),
        (aiohttp.ServerTimeoutError("?"), UpstreamTimeout),
        (ConnectionResetError("?"), UpstreamUnavailable),
        (TimeoutError("?"), UpstreamTimeout),
    ],
)
def test_every_library_error_means_one_error(error: Exception, kind: type[UpstreamError]) -> None:
    assert isinstance(error, LIBRARY_ERRORS)
    failure = failure_of(error)
    assert type(failure) is kind
    assert "?" not in failure.detail
    assert "example.test" not in failure.detail


def test_our_own_errors_pass_through() -> None:
    mine = UpstreamInvalid()
    assert failure_of(mine) is mine


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "rate_limit_error", "message": "slow down"}, UpstreamRateLimited),
        ({"code": "rate_limit_exceeded"}, UpstreamRateLimited),
        ({"code": "insufficient_quota", "type": "insufficient_quota"}, UpstreamRateLimited),
        ({"code": 429}, UpstreamRateLimited),
        ({"code": "429"}, UpstreamRateLimited),
        ({"type": "overloaded_error"}, UpstreamUnavailable),
        ({"code": 503}, UpstreamUnavailable),
        ({"code": "invalid_api_key"}, UpstreamAuthFailed),
        ({"type": "authentication_error"}, UpstreamAuthFailed),
        ({"type": "timeout"}, UpstreamTimeout),
        ({"type": "server_error"}, UpstreamError),
        ({"type": "invalid_request_error", "code": "context_length_exceeded"}, UpstreamRejected),
        ({"type": None, "code": None}, UpstreamError),
        ({"code": True}, UpstreamError),
        ({"code": 10**400}, UpstreamError),
        ("just words", UpstreamError),
        (["?"], UpstreamError),
    ],
)
def test_an_error_object_is_known_by_its_code_or_type(error: object, kind: type[UpstreamError]) -> None:
    assert type(failure_in_stream(error)) is kind


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "999999999"}, 86_400),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "?", "retry-after": "9"}, 9),
        ({"retry-after": "Fri, 02 Jan 2026 03:04:35 GMT"}, 30),
        ({"retry-after": "Fri, 02 Jan 2026 03:04:35 -0000"}, 30),
        ({"retry-after": "Fri, 02 Jan 2026 03:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 99 Jan 2026 03:00:00 GMT"}, None),
        ({"retry-after": "Fri, 02 Jan 99999999999999999999 03:00:00 GMT"}, None),
        ({"retry-after": "Fri, 02 Jan 2026 03:00:00 +9999999999999999999999"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, 86_400),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"}, 0),
    ],
)
def test_the_wait_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, lambda: NOW) == seconds
