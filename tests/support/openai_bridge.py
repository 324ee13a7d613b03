"""respx for the openai SDK, which runs on httpx2 where respx knows httpx only and would let every call through.

For the shape of requests and the mapping of errors. Bodies are buffered: timing, cutting and cancelling need the real
loopback server of `tests.support.upstream`. A call that no route answers fails, so nothing reaches a network.
"""

import httpx
import httpx2
import respx


def bridged(router: respx.MockRouter) -> httpx2.AsyncClient:
    """A client that asks `router` (not started: nothing is patched) instead of any server."""

    async def handle(request: httpx2.Request) -> httpx2.Response:
        asked = httpx.Request(
            request.method, str(request.url), headers=request.headers.multi_items(), content=request.content
        )
        try:
            answer = await router.async_handler(asked)
        except httpx.TransportError as error:
            raise getattr(httpx2, type(error).__name__)(str(error)) from None
        return httpx2.Response(answer.status_code, headers=answer.headers.multi_items(), content=answer.content)

    return httpx2.AsyncClient(transport=httpx2.MockTransport(handle))
