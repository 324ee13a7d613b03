"""What the SDK would send, and what the client that builds requests only once sends."""

from openai import AsyncOpenAI
from openai._models import FinalRequestOptions

from chatorch.adapters.models.openai.client import RepeatingClient

ARGUMENTS = {
    "api_key": "sk-test",
    "base_url": "http://127.0.0.1:9/v1",
    "timeout": None,
    "default_headers": {"User-Agent": "us"},
}


def options(body: bytes) -> FinalRequestOptions:
    return FinalRequestOptions.construct(
        method="post", url="/chat/completions", content=body, security={"bearer_auth": True}
    )


def test_every_request_is_the_one_that_the_sdk_would_build():
    ours, sdk = RepeatingClient(**ARGUMENTS), AsyncOpenAI(**ARGUMENTS)
    for body in (b'{"a": 1}', b'{"a": "longer than before"}'):
        for retries in (0, 1, 2):
            made = ours._build_request(options(body), retries_taken=retries)
            wanted = sdk._build_request(options(body), retries_taken=retries)
            assert (made.method, made.url, made.content) == (wanted.method, wanted.url, wanted.content)
            assert sorted(made.headers.raw) == sorted(wanted.headers.raw)
            assert made.extensions == wanted.extensions
