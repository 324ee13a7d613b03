"""One streamed completion: bytes in, parts and the finish out."""

import asyncio
from contextlib import suppress

import httpx2

from chatorch.adapters.models.openai.answer import Answer
from chatorch.adapters.models.openai.parts import Piece
from chatorch.adapters.models.upstream.deadlines import Watch
from chatorch.adapters.models.upstream.errors import LIBRARY_ERRORS
from chatorch.adapters.models.upstream.sse import PayloadParser
from chatorch.adapters.models.upstream.transport import ByteSource, source_of
from chatorch.domain.model.upstream_errors import UpstreamInvalid
from chatorch.ports.chat_model import Finish

DRAIN_SECONDS = 0.1


class Completion:
    """What one response says. Until it is `over`: ``pieces = completion.feed(await completion.read())``; then `finish`.

    Nothing of the response is kept but its bytes: its head and the request are 5 KB, and the prompt.
    What is neither events nor JSON (a proxy's login page, say) is over at once.
    """

    __slots__ = ("_answer", "_at_end", "_parser", "_source", "_watch", "over", "read")

    def __init__(self, response: httpx2.Response, watch: Watch) -> None:
        self._parser = PayloadParser(events="event-stream" in response.headers.get("content-type", "").lower())
        self._source: ByteSource = source_of(response)
        self._watch = watch
        self._answer = Answer()
        self._at_end = False
        self.over = False
        self.read = self._source.read

    def feed(self, data: bytes) -> list[Piece]:
        """What `data` completes, often nothing; no `data` is the end of the response."""
        answer, parser = self._answer, self._parser
        if data:
            payloads = parser.feed(data)
        else:
            payloads = parser.close()
            self.over = self._at_end = True
        if payloads:
            self._watch.progress = True
            pieces = answer.take(payloads)
        else:
            pieces = []
        if answer.over or parser.overflow or parser.alien:
            self.over = True
        return pieces + answer.release() if self.over else pieces

    async def aclose(self) -> None:
        """Closes the response."""
        await self._source.aclose()

    def settle(self, *, whole: bool) -> list[Piece]:
        """What comes last, once. `whole`: after `finish`, and no part stays open; else before a failure is told."""
        return self._answer.settle(whole=whole)

    @property
    def dropped(self) -> int:
        """How many payloads meant nothing so far: keep-alive words, stray brackets, junk after the end."""
        return self._answer.dropped

    def rest(self, error: BaseException) -> bytes:
        """What had come before `read` failed so; nothing, where the text is whole already; else raises it.

        Raises what is no failure but a cancellation, whatever had come.
        """
        if isinstance(error, Exception):
            data = self._source.rest()
            if data or self._answer.announced:
                return data
        raise error

    async def finish(self) -> Finish:
        """Raises what was wrong with a chunk, and `UpstreamInvalid` where the provider announced no end.

        Reads what follows `[DONE]` first, for a moment only, so that the connection can be used again.
        """
        if self._answer.failure is not None:
            raise self._answer.failure
        if self._parser.alien:
            raise UpstreamInvalid("The model's provider answered with something that is neither events nor JSON.")
        if self._parser.overflow:
            raise UpstreamInvalid("The model's provider sent a chunk that is too long.")
        finish = self._answer.finish()
        with suppress(*LIBRARY_ERRORS):
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._at_end:
                    self._at_end = not await self.read()
        return finish
