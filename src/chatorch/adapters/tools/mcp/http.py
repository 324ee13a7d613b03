"""Servers that are asked over HTTP (MCP, Streamable HTTP): what bounds the official package's transport from below."""

import asyncio
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx2
from mcp.client._transport import TransportStreams
from mcp.client.streamable_http import streamable_http_client

from chatorch.adapters.tools.mcp import failures
from chatorch.adapters.tools.mcp.failures import TOO_LARGE_MARK
from chatorch.adapters.tools.mcp.servers import McpServer

EVENTS = "text/event-stream"
CONNECT_S = 10.0
NOTICE_S = 5.0
"""For what is answered at once: notifications, and our answers to a server's own requests."""
LEAVING_S = 1.0
AFTER_TIMEOUT_S = 5.0
"""How much longer than a call a request may go on, so that a server may still be told that nobody waits."""

_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


class _TooLarge(httpx2.StreamError):
    """One that the package makes an error response of."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The answer exceeded the {most} {TOO_LARGE_MARK}.")


class _BrokenOff(httpx2.StreamError):
    def __init__(self) -> None:
        super().__init__("The answer broke off.")


@asynccontextmanager
async def http_transport(server: McpServer) -> AsyncIterator[TransportStreams]:
    url = server.url or ""
    async with BoundedClient(server) as client, _streams(url, client, server.max_message_bytes) as streams:
        yield streams


def _streams(url: str, client: httpx2.AsyncClient, most: int) -> AbstractAsyncContextManager[TransportStreams]:
    return streamable_http_client(url, http_client=client, max_sse_event_size=most)


class BoundedClient(httpx2.AsyncClient):
    """Bounds every answer in time and size, whatever the transport above does with it.

    A request that fails is answered with an error of ours (`failures`) instead of an exception. The transport follows
    redirects itself, within a server's origin only, and bounds events; bodies that are none are bounded here. Proxies
    and authorities are those of the environment, as for providers of models: no proxy for loopback.
    """

    def __init__(self, server: McpServer) -> None:
        parts = urlsplit(server.url or "")
        super().__init__(
            headers={**server.headers, "accept-encoding": "identity"},  # what is unpacked has no size before it is
            timeout=httpx2.Timeout(None, connect=CONNECT_S, pool=CONNECT_S),
            verify=_trust(),
            trust_env=not _is_loopback(parts.hostname or ""),
        )
        self._most = server.max_message_bytes
        self._call_s = server.timeout_s + AFTER_TIMEOUT_S

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        asked = await _asked(request)
        limit = self._limit_of(request, asked)
        deadline = None if limit is None else asyncio.get_running_loop().time() + limit
        try:
            async with asyncio.timeout_at(deadline):
                response = await super().send(request, **options)
        except _NEVER_SENT:
            return _failed(request, asked, failures.NEVER_SENT)
        except (httpx2.TransportError, TimeoutError):
            if request.method == "GET":
                raise
            return _failed(request, asked, failures.LOST)
        if response.status_code == 404 and "mcp-session-id" in request.headers and request.method == "POST":
            await response.aclose()
            return _failed(request, asked, failures.SESSION_UNKNOWN)
        kind = response.headers.get("content-type", "").lower()
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            return _failed(request, asked, failures.REFUSED)
        if response.status_code >= 400 and not kind.startswith("application/json"):
            await response.aclose()
            return _failed(request, asked, failures.REFUSED, f"HTTP status {response.status_code}")
        if is_events := kind.startswith(EVENTS):
            response.headers["content-type"] = EVENTS  # in UTF-8: some of Python's encodings unpack
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101  # for the type
        response.stream = _Bounded(response.stream, None if is_events else self._most, deadline)
        return response

    def _limit_of(self, request: httpx2.Request, asked: dict[str, Any]) -> float | None:
        if request.method == "GET" or asked.get("method") == "subscriptions/listen":  # open as long as the session
            return None
        if request.method != "POST":
            return LEAVING_S
        return self._call_s if "id" in asked and "method" in asked else NOTICE_S


class _Bounded(httpx2.AsyncByteStream):
    """At most `most` bytes, until `deadline`, where there are such."""

    def __init__(self, stream: httpx2.AsyncByteStream, most: int | None, deadline: float | None) -> None:
        self._stream = stream
        self._most = most
        self._deadline = deadline

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        pieces = aiter(self._stream)
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    piece = await anext(pieces, None)
            except (httpx2.TransportError, TimeoutError):
                raise _BrokenOff from None
            if piece is None:
                return
            size += len(piece)
            if self._most is not None and size > self._most:
                raise _TooLarge(self._most)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _asked(request: httpx2.Request) -> dict[str, Any]:
    """The JSON-RPC message that is being sent."""
    said = json.loads(await request.aread()) if request.method == "POST" else None
    return said if isinstance(said, dict) else {}


def _failed(request: httpx2.Request, asked: dict[str, Any], code: int, said: str = "") -> httpx2.Response:
    error = failures.error(code, said).model_dump(exclude_none=True)
    body = {"jsonrpc": "2.0", "id": asked.get("id"), "error": error}
    return httpx2.Response(503, json=body, request=request)


@cache
def _trust() -> ssl.SSLContext:
    """Of the environment. Also for http, which a server may redirect to its https."""
    return httpx2.create_ssl_context()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
