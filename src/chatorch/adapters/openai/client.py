"""The HTTP client under the SDK."""

from urllib.parse import unquote, urlsplit

import httpx2

from chatorch.adapters.openai.transport import AiohttpTransport, proxy_for

OPENAI_BASE_URL = "https://api.openai.com/v1"


def http_client_for(base_url: str) -> httpx2.AsyncClient:
    """Ours: aiohttp underneath, redirects followed as the SDK does, bodies uncompressed.

    Credentials in the address are sent as Basic authentication, instead of the key, as httpx does; but they are
    taken out of it, since httpx2 logs every address.
    """
    parts = urlsplit(base_url)
    auth = httpx2.BasicAuth(unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    # The SDK's own choice of authorities; it takes 20 ms to load, so not where nothing needs it.
    ssl_context = httpx2.create_ssl_context() if parts.scheme == "https" else None
    return httpx2.AsyncClient(
        transport=AiohttpTransport(proxy=proxy_for(base_url), ssl_context=ssl_context),
        auth=auth,
        headers={"accept-encoding": "identity"},
        timeout=None,
        follow_redirects=True,
    )


def without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
