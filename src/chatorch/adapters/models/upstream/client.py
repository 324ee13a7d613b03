"""The HTTP client under whatever speaks to a provider."""

import os
import ssl
from collections.abc import Collection
from urllib.parse import unquote, urlsplit

import httpx2

from chatorch.adapters.models.upstream.redirects import encoded
from chatorch.adapters.models.upstream.transport import AiohttpTransport, proxy_for


def http_client_for(base_url: str, *, error_bodies: Collection[int] = ()) -> httpx2.AsyncClient:
    """Ours: aiohttp underneath, bodies uncompressed. Redirects are the transport's affair.

    Credentials in the address are sent as Basic authentication, instead of the key, as httpx does, and its query goes
    along with every request; but both are taken out of what httpx2 sees, since it logs every address. `error_bodies`:
    see `AiohttpTransport`.
    """
    parts = urlsplit(base_url)
    auth = httpx2.BasicAuth(unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    # httpx2's own choice of authorities, and so every SDK's; it takes 20 ms to load, so not where nothing needs it.
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


class HttpClients:
    """A client a server, however many ask it: those that differ in the path only have their connections in common.

    Credentials and a query belong to the server. Who closes one closes it for all.
    """

    def __init__(self, *, error_bodies: Collection[int] = ()) -> None:
        self._error_bodies = error_bodies
        self._clients: dict[str, httpx2.AsyncClient] = {}

    def for_url(self, base_url: str) -> httpx2.AsyncClient:
        server = urlsplit(base_url)._replace(path="", fragment="").geturl()
        if server not in self._clients:
            self._clients[server] = http_client_for(base_url, error_bodies=self._error_bodies)
        return self._clients[server]


def require_trust(base_url: str) -> None:
    """Raises `ValueError`, in one line, where the environment names certificates to trust that cannot be read."""
    names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    if not names or urlsplit(base_url).scheme != "https":
        return
    try:
        httpx2.create_ssl_context()
    except ssl.SSLError:
        raise ValueError(f"{names[0]}: is no file of certificates (PEM)") from None
    except OSError as error:
        raise ValueError(f"{names[0]}: cannot be read ({error.strerror})") from None


def plain_address(url: str) -> str:
    """Without credentials, query and fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
