"""What every response has."""

from http import HTTPStatus

import pytest

from chatorch.entrypoints.common.response_headers import sealed


@pytest.mark.parametrize("status", [status.value for status in HTTPStatus if status >= 200])
def test_every_status_says_what_it_must(status: int):
    headers = dict(sealed(status, [(b"content-type", b"text/plain")]))
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"cache-control"] == b"no-store"
    assert (b"retry-after" in headers) == (status in {429, 503})


def test_what_is_there_stays():
    given = [(b"Cache-Control", b"no-cache"), (b"Retry-After", b"7"), (b"X-Content-Type-Options", b"nosniff")]
    assert sealed(503, given) == given
