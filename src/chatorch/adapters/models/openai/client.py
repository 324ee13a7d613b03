"""The SDK's client, for one kind of request that is made again and again."""

from typing import cast

import httpx2
from openai import AsyncOpenAI, AsyncStream
from openai._models import FinalRequestOptions

_OPTIONS = FinalRequestOptions.construct(
    method="post",
    url="/chat/completions",
    security={"bearer_auth": True},
    idempotency_key="unused",  # else one is drawn for each request, and then not sent to OpenAI either
)


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
