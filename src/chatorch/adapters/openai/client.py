"""The HTTP client under the SDK."""

import os
import ssl
from collections.abc import Collection
from typing import cast
from urllib.parse import unquote, urlsplit

import httpx2
from openai import AsyncOpenAI, AsyncStream
from openai._models import FinalRequestOptions

from chatorch.adapters.openai.redirects import encoded
from chatorch.adapters.openai.transport import AiohttpTransport, proxy_for

OPENAI_BASE_URL = "https://api.openai.com/v1"

_OPTIONS = FinalRequestOptions.construct(
    method="post",
    url="/chat/completions",
    security={"bearer_auth": True},
    idempotency_key="unused",  # else one is drawn for each request, and then not sent to OpenAI either
)


def http_client_for(base_url: str, *, error_bodies: Collection[int] = ()) -> httpx2.AsyncClient:
    """Ours: aiohttp underneath, bodies uncompressed. Redirects are the transport's affair.

    Credentials in the address are sent as Basic authentication, instead of the key, as httpx does, and its query goes
    along with every request; but both are taken out of what httpx2 sees, since it logs every address. `error_bodies`:
    see `AiohttpTransport`.
    """
    parts = urlsplit(base_url)
    auth = httpx2.BasicAuth(unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    # The SDK's own choice of authorities; it takes 20 ms to load, so not where nothing needs it.
    ssl_context = httpx2.create_ssl_context() if parts.scheme == "https" else None
    return httpx2.AsyncClient(
        transport=AiohttpTransport(
            query=encoded(parts.query),
            proxy=proxy_for(base_url),
            ssl_context=ssl_context,
            error_bodies=error_bodies,
        ),
        auth=auth,
        headers={"accept-encoding": "identity"},
        timeout=None,
        follow_redirects=False,
    )


def require_trust(base_url: str | None) -> None:
    """Raises `ValueError`, in one line, where the environment names certificates to trust that cannot be read."""
    names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    if not names or urlsplit(base_url or OPENAI_BASE_URL).scheme != "https":
        return
    try:
        httpx2.create_ssl_context()
    except ssl.SSLError:
        raise ValueError(f"{names[0]}: is no file of certificates (PEM)") from None
    except OSError as error:
        raise ValueError(f"{names[0]}: cannot be read ({error.strerror})") from None


class RepeatingClient(AsyncOpenAI):
    """The SDK's client for requests that differ in their body only: options, address and headers are built once.

    Building them is a third of what the SDK does for a request. Retries, which say in a header that they are, go the
    SDK's own way. (`_build_request` is no public hook of the SDK's: a test compares what both of them make.)
    """

    _first: httpx2.Request | None = None

    async def post_body(self, body: bytes) -> httpx2.Response:
        """Sends JSON to ``/chat/completions`` and retries as the SDK does; the response's body comes unread."""
        options = _OPTIONS.model_copy(update={"content": body})
        answer: object = await self.request(httpx2.Response, options, stream=True, stream_cls=AsyncStream[object])
        return cast("httpx2.Response", answer)

    def _build_request(self, options: FinalRequestOptions, *, retries_taken: int = 0) -> httpx2.Request:
        if retries_taken:
            return super()._build_request(options, retries_taken=retries_taken)
        first = self._first
        if first is None:
            first = self._first = super()._build_request(options)
        body = options.content if isinstance(options.content, bytes) else b""
        # Told that all is ASCII, since headers that are not told try it out each time.
        headers = httpx2.Headers(first.headers, encoding="ascii")
        headers["Content-Length"] = str(len(body))
        request = httpx2.Request(first.method, first.url, stream=httpx2.ByteStream(body), extensions=first.extensions)
        request.headers = headers
        request.read()
        return request


def plain_address(url: str) -> str:
    """Without credentials, query and fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
