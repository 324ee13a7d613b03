"""What the SDK raises, by the mapping that knows no SDK."""

import httpx2
import openai
import pytest

from chatorch.adapters.models.openai.defaults import SDK_ERRORS
from chatorch.adapters.models.upstream.errors import failure_of
from chatorch.domain.model.upstream_errors import (
    UpstreamError,
    UpstreamInvalid,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)

REQUEST = httpx2.Request("POST", "http://user:pass@example.test/")


def made_of(error: Exception, inner: Exception) -> Exception:
    """As the SDK raises it."""
    error.__cause__ = inner
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (made_of(openai.APITimeoutError(request=REQUEST), httpx2.ReadTimeout("?")), UpstreamTimeout),
        (made_of(openai.APIConnectionError(request=REQUEST), httpx2.ReadError("?")), UpstreamUnavailable),
        (openai.OpenAIError("?"), UpstreamError),
        (openai.APIResponseValidationError(httpx2.Response(200, request=REQUEST), body="?"), UpstreamInvalid),
        (openai.APIStatusError("?", response=httpx2.Response(429, request=REQUEST), body="?"), UpstreamRateLimited),
    ],
)
def test_every_error_of_the_sdk_means_one_error(error: Exception, kind: type[UpstreamError]) -> None:
    assert isinstance(error, SDK_ERRORS)
    failure = failure_of(error)
    assert type(failure) is kind
    for words in ("?", "example.test"):
        assert words not in failure.detail
