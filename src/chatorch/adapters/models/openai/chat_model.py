"""The chat model behind any server that speaks OpenAI's chat-completions API."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Set
from functools import partial
from urllib.parse import urlsplit

import httpx2
import msgspec
import openai
import structlog

from chatorch import __version__
from chatorch.adapters.models.openai.client import RepeatingClient
from chatorch.adapters.models.openai.completion import Completion
from chatorch.adapters.models.openai.defaults import FAILURES, OPENAI_BASE_URL, OPENAI_SETTINGS, SDK_ERRORS
from chatorch.adapters.models.openai.prompts import function_of, message_of
from chatorch.adapters.models.openai.refusals import (
    OPTIONAL,
    STREAM,
    STREAM_OPTIONS,
    USER,
    RefusedMembers,
    refused_members,
)
from chatorch.adapters.models.upstream.client import http_client_for, plain_address
from chatorch.adapters.models.upstream.deadlines import Deadlines, Watch
from chatorch.adapters.models.upstream.errors import failure_of
from chatorch.adapters.models.upstream.transport import Attempt, current_attempt
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.upstream_errors import SettingNames, UpstreamError, UpstreamUnavailable
from chatorch.ports.chat_model import ChatModel, Finish, Piece, Prompt
from chatorch.ports.telemetry import ModelTelemetry

NO_KEY = "none"
"""Sent where there is no key: a server of one's own wants none, and the SDK refuses to go without."""

REFUSALS = (openai.BadRequestError, openai.UnprocessableEntityError)
TELLING_STATUSES = frozenset({400, 422, 429})
"""Whose bodies say what the status does not: which member is refused, or that there is no quota left."""

INTERRUPTIONS = (asyncio.CancelledError, *SDK_ERRORS)

_OURS = ("instructions", "tools", "unattended")
"""What stands elsewhere in a prompt."""
_NO_CHOICE = (None, "auto", "none")
"""What makes no difference where no tools are offered, and what providers refuse there all the same."""

log = structlog.get_logger(__name__)


class OpenAIChatModel(ChatModel):
    """Streams from ``{base_url}/chat/completions``. Refusals count as text; only the first choice is heard.

    Reasoning is a part of its own wherever a provider puts it, but for tags in the text, which is told as it is. Tool
    calls and sources are parts too. What a provider interleaves is told one part after the other.

    A server that ignores `stream` and answers with one JSON completion is understood as well. One that refuses
    ``stream_options``, ``user`` or ``stream`` itself, with 400 or 422 and by name, is asked once more without it; where
    that succeeds, it is remembered for the model, as long as this object lives.

    `max_retries`: how often the SDK tries again after 408, 409, 429, 5xx or a failed connection, before the first
    byte only; it obeys `Retry-After`, within our deadlines. `send_user`: whether `Prompt.user` goes along as
    ``user``; by default only to OpenAI itself, for several other servers refuse members that they do not know.
    `telemetry` counts what a provider sends for nothing. `settings`: what errors call the settings that this was made
    of. `http_client`: another way to send; the caller's to configure, ours to close.
    """

    def __init__(
        self,
        api_key: str | None,
        base_url: str | None = None,
        *,
        deadlines: Deadlines | None = None,
        max_retries: int = 2,
        send_user: bool | None = None,
        telemetry: ModelTelemetry | None = None,
        settings: SettingNames = OPENAI_SETTINGS,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        url = base_url or OPENAI_BASE_URL
        self._deadlines = deadlines or Deadlines()
        self._telemetry = telemetry
        self._settings = settings
        is_openai = urlsplit(url).hostname == "api.openai.com"
        self._send_user = is_openai if send_user is None else send_user
        # OpenAI's later models know the longer name only, and many other servers the shorter one.
        self._max_tokens = "max_completion_tokens" if is_openai else "max_tokens"
        self._client = RepeatingClient(
            api_key=api_key or NO_KEY,
            base_url=plain_address(url),
            max_retries=max_retries,
            timeout=None,
            default_headers={"User-Agent": f"chatorch/{__version__}"},
            http_client=http_client or http_client_for(url, error_bodies=TELLING_STATUSES),
        )
        self._refused = RefusedMembers()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        if self._client.is_closed():
            raise UpstreamUnavailable
        attempt, watch = Attempt(), Watch(self._deadlines, prompt.begun_s)
        completion: Completion | None = None
        failure: UpstreamError | None = None
        finish: Finish | None = None
        try:
            completion = Completion(await watch.wait(partial(self._open, prompt, attempt, watch)), watch)
            del prompt  # it may be large, and the answer take minutes
            while not completion.over:
                try:
                    watch.begin()
                    data = await completion.read()
                    watch.waiting = None
                except INTERRUPTIONS as error:
                    data = completion.rest(watch.cause_of(error))
                for piece in completion.feed(data):
                    yield piece
            finish = await completion.finish()
        except FAILURES as error:
            failure = attempt.failure if isinstance(error, TimeoutError) and attempt.failure else failure_of(error)
        finally:
            watch.stop()
            if completion is not None:
                await completion.aclose()
                if completion.dropped and self._telemetry is not None:
                    self._telemetry.dropped(completion.dropped)
        for ending in _ending(completion, finish):
            yield ending
        if failure is not None:
            raise failure.named(self._settings)

    async def aclose(self) -> None:
        await self._client.close()

    async def _open(self, prompt: Prompt, attempt: Attempt, watch: Watch) -> httpx2.Response:
        """The SDK sends, retries and raises; the body comes unread. Asked once more for each member that is refused.

        `chat.completions.create` would walk every message of the history through its type hints: 140 µs each.
        """
        known = omitted = self._refused.of(prompt.model)
        token = current_attempt.set(attempt)
        try:
            while True:
                body = self._body_of(prompt, omitted)
                if STREAM in omitted:
                    watch.expect_whole()
                try:
                    response = await self._client.post_body(msgspec.json.encode(body))
                except REFUSALS as error:
                    named = refused_members(error.response.content, OPTIONAL & body.keys())
                    if not named:
                        raise
                else:
                    break
                omitted |= named
                if self._client.is_closed():
                    raise UpstreamUnavailable
        finally:
            current_attempt.reset(token)
        if omitted != known and self._refused.learn(prompt.model, omitted):
            log.warning("provider_refuses_members", model=prompt.model, members=sorted(omitted))
        return response

    def _body_of(self, prompt: Prompt, omitted: Set[str]) -> dict[str, object]:
        body: dict[str, object] = {
            "model": prompt.model,
            "messages": [message_of(message) for message in prompt.messages],
        }
        if STREAM not in omitted:
            body[STREAM] = True
            if STREAM_OPTIONS not in omitted:
                body[STREAM_OPTIONS] = {"include_usage": True}
        if self._send_user and USER not in omitted:
            body[USER] = prompt.user
        if prompt.tools:
            body["tools"] = [function_of(tool) for tool in prompt.tools]
        return body | self._asked(prompt.generation, tools=bool(prompt.tools))

    def _asked(self, generation: Generation, *, tools: bool) -> dict[str, object]:
        """Nothing of it is left out where a provider refuses it: the client is told."""
        asked = generation.asked()
        for ours in _OURS:
            asked.pop(ours, None)
        if not tools and asked.get("tool_choice") in _NO_CHOICE:
            asked.pop("tool_choice", None)
            asked.pop("parallel_tool_calls", None)
        if (most := asked.pop("max_output_tokens", None)) is not None:
            asked[self._max_tokens] = most
        return asked


def _ending(completion: Completion | None, finish: Finish | None) -> Iterator[Piece]:
    if completion is not None:
        yield from completion.settle(whole=finish is not None)
    if finish is not None:
        yield finish
