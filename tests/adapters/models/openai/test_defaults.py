"""What the SDK raises, by the mapping that knows no SDK."""

import httpx2
import openai
import pytest

from chatorch.adapters.models.openai.defaults import SDK_ERRORS
from chatorch.adapters.models.upstream.errors import failure_of
from chatorch.domain.model.upstream_errors import (
    SettingNames,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from tests.adapters.models.conftest import NewModel
from tests.support.chat import listen, prompt
from tests.support.upstream import Step, Upstream, error, status, text

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


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([status(401)], "see A_KEY."),
        ([text("half"), error("no", code="invalid_api_key")], "see A_KEY."),
        ([text("half"), error("no", code="not_found")], "see A_MODEL and AN_ADDRESS."),
        ([status(404)], "and AN_ADDRESS?"),
        ([status(405)], "see AN_ADDRESS, and the account."),
        ([status(303)], "see AN_ADDRESS."),
        ([status(302, {"location": "http://elsewhere.test/"})], "see AN_ADDRESS."),
    ],
)
async def test_a_failure_names_the_settings_of_its_provider_wherever_it_shows(
    new_model: NewModel, upstream: Upstream, script: list[Step], words: str
) -> None:
    model = new_model(settings=SettingNames(address="AN_ADDRESS", key="A_KEY", model="A_MODEL"))
    failure = (await listen(model, prompt(upstream.model(script)))).error
    assert isinstance(failure, UpstreamError)
    assert failure.detail.endswith(words)
    assert str(failure) == failure.detail
