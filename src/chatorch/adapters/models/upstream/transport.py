"""HTTP for httpx2 on aiohttp: the cheapest way to the bytes of a stream that whoever speaks httpx2 can be given.

SDKs that bring a transport on aiohttp of their own wrap each read in four generators, cut reads at 16 KiB, and take a
server that hangs up for a connect time-out; this one does not.
"""

import asyncio
import ipaddress
import ssl
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
from yarl import URL

from chatorch.adapters.models.upstream.causes import network_cause
from chatorch.adapters.models.upstream.errors import Unreached, failure_of, failure_of_status
from chatorch.adapters.models.upstream.kept_connections import LOST, Connector, Use, current_use
from chatorch.adapters.models.upstream.redirects import MAX_REDIRECTS, is_redirect, redirected
from chatorch.domain.model.upstream_errors import UpstreamError, UpstreamInvalid, UpstreamMoved, UpstreamUnavailable

CONNECT_TIMEOUT = 10.0
ERROR_BODY_SECONDS = 2.0
MAX_ERROR_BYTES = 16 * 1024
MAX_HEADER_BYTES = 128 * 1024
MAX_HEADERS = 1024

SOURCE_EXTENSION = "chatorch.source"
"""The response extension that holds the response's `ByteSource`; see `source_of`."""


class ByteSource(Protocol):
    """The bytes of a body, past the layers of httpx2. To close it is to close the response, which need not be kept."""

    read: Callable[[], Awaitable[bytes]]
    """What has arrived since, or the next that arrives; empty at the end. Raises aiohttp's errors."""

    @abstractmethod
    def rest(self) -> bytes:
        """What had come ahead of an error that `read` raised; aiohttp tells of the error first."""
        ...

    @abstractmethod
    async def aclose(self) -> None: ...


class _AnySource(ByteSource):
    """The bytes of a response that another transport than ours brought."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._pieces = response.aiter_bytes()

    async def read(self) -> bytes:
        return await anext(self._pieces, b"")

    def rest(self) -> bytes:
        return b""

    async def aclose(self) -> None:
        await self._response.aclose()


def source_of(response: httpx2.Response) -> ByteSource:
    """The bytes of a response that has not been read."""
    source: ByteSource | None = response.extensions.get(SOURCE_EXTENSION)
    return source or _AnySource(response)


@dataclass(slots=True)
class Attempt:
    """How the latest try of a call failed; None while one is under way. An SDK waits and tries again in between.

    `anew`: each try goes out on a new connection, where no server can have hung up unnoticed.
    """

    failure: UpstreamError | None = None
    anew: bool = False


current_attempt: ContextVar[Attempt | None] = ContextVar("current_attempt", default=None)


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Any number of connections, no read time-outs, no cookies. Errors are httpx2's, or ours where no retry helps.

    `query` goes along with every request, as it is; nothing above this layer sees it, for there may be a key in it.
    `error_bodies`: the statuses whose body is read, as far as `MAX_ERROR_BYTES` and for a moment, for what it names.
    """

    def __init__(
        self,
        *,
        query: str = "",
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        error_bodies: Collection[int] = (),
    ) -> None:
        self._query = query
        self._error_bodies = error_bodies
        self._ssl = ssl_context
        self._proxy = proxy
        self._timeout = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=connect_timeout, sock_read=None)
        self._session: aiohttp.ClientSession | None = None
        self._open: set[_Body] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        attempt = current_attempt.get() or Attempt()
        attempt.failure = None
        try:
            answer = await self._answer_to(request, attempt)
        except httpx2.HTTPError as error:
            attempt.failure = failure_of(error)
            raise
        body = _Body(answer, self._open)
        if answer.status >= 400:
            attempt.failure = failure_of_status(answer.status, answer.headers)
            # Hardly anybody needs the body of an error, and it may echo the key.
            try:
                content = await _beginning(body) if answer.status in self._error_bodies else b""
            finally:
                await body.aclose()
            return httpx2.Response(answer.status, headers=_headers(answer), content=content, request=request)
        return httpx2.Response(
            answer.status,
            headers=_headers(answer),
            stream=body,
            request=request,
            extensions={"http_version": b"HTTP/1.1", SOURCE_EXTENSION: body},
        )

    async def aclose(self) -> None:
        for body in list(self._open):
            await body.aclose()
        if self._session is not None:
            await self._session.close()

    async def _answer_to(self, request: httpx2.Request, attempt: Attempt) -> aiohttp.ClientResponse:
        """Follows redirects, whatever the method, with the whole request. Raises `UpstreamMoved`."""
        url, proxy = self._address_of(request.url), self._proxy
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._send(request, url, proxy, attempt)
            if not is_redirect(answer.status):
                return answer
            answer.release()
            moved = redirected(url, answer.status, answer.headers.getall("location", ()))
            if moved.partition(":")[0] != url.partition(":")[0]:
                proxy = proxy_for(moved)
                self._ssl = self._ssl or httpx2.create_ssl_context()
            url = moved
        raise UpstreamMoved("The model's provider redirects in circles, or too often; see {address}.")

    def _address_of(self, url: httpx2.URL) -> str:
        address = str(url)
        if not self._query:
            return address
        return f"{address}{'&' if '?' in address else '?'}{self._query}"

    async def _send(
        self, request: httpx2.Request, url: str, proxy: str | None, attempt: Attempt
    ) -> aiohttp.ClientResponse:
        """The head of the answer. A kept connection that is over already costs nothing but a new one."""
        if self._session is None:
            self._session = self._new_session()
        use = Use(attempt.anew)
        token = current_use.set(use)
        failure: Exception
        try:
            try:
                return await self._exchange(self._session, request, url, proxy)
            except LOST as error:
                if not use.stale(error):
                    raise
            use.anew = True
            return await self._exchange(self._session, request, url, proxy)
        except TimeoutError:
            failure = httpx2.ConnectTimeout("The connection was not made in time.")
        except (aiohttp.ClientError, OSError) as error:
            failure = _failure_to_send(error)
        finally:
            current_use.reset(token)
        # aiohttp's own errors may hold the request's headers, so they are not chained.
        raise failure

    async def _exchange(
        self, session: aiohttp.ClientSession, request: httpx2.Request, url: str, proxy: str | None
    ) -> aiohttp.ClientResponse:
        if session.closed:
            raise UpstreamUnavailable
        return await session.request(
            request.method,
            URL(url, encoded=True),
            headers=_as_text(request.headers),
            data=await request.aread(),
            allow_redirects=False,
            proxy=proxy,
            ssl=self._ssl or True,
        )

    def _new_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=Connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        )


class _Body(httpx2.AsyncByteStream, ByteSource):
    """A response's bytes. Closing it midway closes the connection; read to its end, the connection is free again."""

    def __init__(self, answer: aiohttp.ClientResponse, live: "set[_Body]") -> None:
        self.read = answer.content.readany
        self._answer = answer
        self._live = live
        live.add(self)

    def rest(self) -> bytes:
        content = self._answer.content
        return content._read_nowait(-1) if content._buffer else b""  # noqa: SLF001  # no public way past the error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while data := await self.read():
                yield data
        except (aiohttp.ClientError, OSError) as error:
            raise httpx2.ReadError(type(error).__name__) from None

    async def aclose(self) -> None:
        self._live.discard(self)
        self._answer.close()


async def _beginning(body: _Body) -> bytes:
    """What there is of it within the limits; nothing of a body that breaks off, hangs or is longer."""
    content = b""
    try:
        async with asyncio.timeout(ERROR_BODY_SECONDS):
            while data := await body.read():
                content += data
                if len(content) > MAX_ERROR_BYTES:
                    return b""
    except (aiohttp.ClientError, OSError):  # TimeoutError is one
        return b""
    return content


def _failure_to_send(error: Exception) -> Exception:
    unreadable = isinstance(error, aiohttp.ClientResponseError) and not isinstance(error, aiohttp.ClientHttpProxyError)
    if unreadable:
        return UpstreamInvalid("The model's provider answered with a head that is too long, or is not HTTP.")
    return Unreached(network_cause(error))


def proxy_for(url: str) -> str | None:
    """The proxy that the usual variables (`HTTPS_PROXY`, `NO_PROXY`, …) name for this address; none for loopback."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or _is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _as_text(headers: httpx2.Headers) -> list[tuple[str, str]]:
    """For aiohttp, which keeps them as long as the answer comes: nearly all are the same each time, so share them."""
    encoding = headers.encoding
    return [(_decoded(name, encoding), _decoded(value, encoding)) for name, value in headers.raw]


@lru_cache(maxsize=128)
def _decoded(said: bytes, encoding: str) -> str:
    return said.decode(encoding)


def _headers(answer: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    """aiohttp has decompressed the body already."""
    return [(name, value) for name, value in answer.raw_headers if name.lower() != b"content-encoding"]
