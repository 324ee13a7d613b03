"""Which way requests go."""

import pytest

from chatorch.adapters.models.upstream.client import plain_address
from chatorch.adapters.models.upstream.transport import proxy_for

PROXY = "http://proxy.test:3128"


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, PROXY)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "internal.test")


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize(
    ("address", "proxy"),
    [
        ("https://api.openai.com/v1", PROXY),
        ("http://models.test/v1", PROXY),
        ("https://internal.test/v1", None),
        ("http://localhost:11434/v1", None),
        ("http://127.0.0.1:8000/v1", None),
        ("http://[::1]:8000/v1", None),
    ],
)
def test_the_usual_variables_name_the_proxy_but_not_for_loopback(address: str, proxy: str | None) -> None:
    assert proxy_for(address) == proxy


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:secret@host.test:8443/v1?key=secret", "https://host.test:8443/v1"),
        ("https://host.test/v1/#here", "https://host.test/v1/"),
        ("https://me@host.test/v1", "https://host.test/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_credentials_and_query_are_taken_out_of_an_address(address: str, shown: str) -> None:
    assert plain_address(address) == shown
