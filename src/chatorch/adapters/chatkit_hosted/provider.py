"""Hosted ChatKit: OpenAI's `beta.chatkit`, which is in beta, so its answers are read as JSON and taken for nothing.

The SDK makes its models of whatever comes, be it a page of HTML. What is raised here leaves the `except` block first,
so that no traceback carries a body along; and of a body only the error's `code` is looked at.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import openai
from openai import AsyncOpenAI, omit

from chatorch import __version__
from chatorch.adapters.chatkit_hosted.answers import to_issued, to_item, to_page, to_thread
from chatorch.adapters.models.upstream.client import http_client_for, plain_address
from chatorch.adapters.models.upstream.errors import LIBRARY_ERRORS, failure_of
from chatorch.adapters.models.upstream.transport import Attempt, current_attempt
from chatorch.domain.model.chatkit_hosted.errors import (
    ChatKitDomainNotAllowed,
    ChatKitNotConfigured,
    ChatKitWrongOrganization,
    HostedNotFound,
    WorkflowNotFound,
)
from chatorch.domain.model.chatkit_hosted.history import HostedItem, HostedThread
from chatorch.domain.model.chatkit_hosted.paging import HostedCursor
from chatorch.domain.model.chatkit_hosted.session import IssuedSession
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import Page, PageRequest
from chatorch.domain.model.upstream_errors import SettingNames, UpstreamError, UpstreamInvalid, UpstreamRejected
from chatorch.ports.chatkit_hosted.provider import HostedThreads, SessionProvider

if TYPE_CHECKING:  # it imports half of the SDK's types, for 0.3 s
    from openai.types.beta.chatkit.chat_session_chatkit_configuration_param import ChatSessionChatKitConfigurationParam

Call = Callable[[AsyncOpenAI], Awaitable[Any]]

OPENAI_BASE_URL = "https://api.openai.com/v1"
OPENAI_SETTINGS = SettingNames(address="OPENAI_BASE_URL", key="OPENAI_API_KEY")
WRONG_ORGANIZATION = (
    "OpenAI says that the key does not belong to the organization or project; see OPENAI_API_KEY, and, where the "
    "environment has them, OPENAI_ORG_ID and OPENAI_PROJECT_ID."
)
DOMAIN_NOT_ALLOWED = (
    "OpenAI does not allow the domain of the page; see Domain allowlist in the security settings of the organization "
    "that OPENAI_API_KEY belongs to."
)
NOT_FOUND: dict[type[UpstreamRejected], str] = {
    WorkflowNotFound: (
        "OpenAI does not know the workflow; see CHATORCH_CHATKIT_WORKFLOWS, that OPENAI_API_KEY belongs to the "
        "workflow's own project, and that OPENAI_BASE_URL, where set, is a server that has ChatKit."
    ),
    HostedNotFound: "OpenAI has no such thing.",
}
FAILURES = (UpstreamError, openai.OpenAIError, *LIBRARY_ERRORS)
UNREADABLE = (ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What a session is created with. `life_s` in seconds, `max_file_mb` in MB; None: as OpenAI would have it."""

    life_s: int = 600
    requests_per_minute: int = 10
    file_upload: bool = False
    max_files: int | None = None
    max_file_mb: int | None = None
    history: bool = True
    recent_threads: int | None = None

    def configuration(self) -> "ChatSessionChatKitConfigurationParam":
        asked: ChatSessionChatKitConfigurationParam = {
            "file_upload": {"enabled": self.file_upload},
            "history": {"enabled": self.history},
        }
        if self.max_files is not None:
            asked["file_upload"]["max_files"] = self.max_files
        if self.max_file_mb is not None:
            asked["file_upload"]["max_file_size"] = self.max_file_mb
        if self.recent_threads is not None:
            asked["history"]["recent_threads"] = self.recent_threads
        return asked


class OpenAIChatKit(SessionProvider, HostedThreads):
    """Without `api_key` every method raises `ChatKitNotConfigured`.

    `deadline_s`: how long a call may take altogether. Creating is not repeated, since each try may leave a session
    that nobody knows of, and goes out on a new connection, since one that is kept may be over already; everything
    else is repeated, by the SDK, within the deadline.
    """

    def __init__(
        self,
        api_key: str | None,
        base_url: str | None = None,
        *,
        options: SessionOptions | None = None,
        deadline_s: float = 15.0,
        max_retries: int = 2,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        url = base_url or OPENAI_BASE_URL
        self._options = options or SessionOptions()
        self._deadline_s = deadline_s
        self._client: AsyncOpenAI | None = None
        if api_key is not None:
            self._client = AsyncOpenAI(
                api_key=api_key,
                base_url=plain_address(url),
                max_retries=max_retries,
                timeout=None,
                default_headers={"User-Agent": f"chatorch/{__version__}"},
                http_client=http_client or http_client_for(url, error_bodies=range(400, 600)),
            )
            # The SDK imports this part when it is first asked for: rather at the start than in the event loop.
            _ = self._client.beta.chatkit.sessions

    async def create(self, user_id: UserId, workflow_id: str) -> IssuedSession:
        options = self._options

        def call(client: AsyncOpenAI) -> Awaitable[Any]:
            return client.with_options(max_retries=0).beta.chatkit.sessions.with_raw_response.create(
                user=user_id,
                workflow={"id": workflow_id},
                expires_after={"anchor": "created_at", "seconds": options.life_s},
                rate_limits={"max_requests_per_1_minute": options.requests_per_minute},
                chatkit_configuration=options.configuration(),
            )

        return to_issued(await self._asked(call, not_found=WorkflowNotFound, anew=True))

    async def cancel(self, upstream_id: str) -> None:
        try:
            await self._asked(lambda client: client.beta.chatkit.sessions.with_raw_response.cancel(upstream_id))
        except HostedNotFound:
            return

    async def list_threads(self, user_id: UserId, page: PageRequest[HostedCursor]) -> Page[HostedThread]:
        def call(client: AsyncOpenAI) -> Awaitable[Any]:
            return client.beta.chatkit.threads.with_raw_response.list(
                user=user_id,
                limit=page.limit,
                order="desc" if page.descending else "asc",
                after=page.after.id if page.after else omit,
            )

        return to_page(await self._asked(call), to_thread)

    async def read_thread(self, thread_id: str) -> HostedThread:
        return to_thread(
            await self._asked(lambda client: client.beta.chatkit.threads.with_raw_response.retrieve(thread_id))
        )

    async def list_items(self, thread_id: str, page: PageRequest[HostedCursor]) -> Page[HostedItem]:
        def call(client: AsyncOpenAI) -> Awaitable[Any]:
            return client.beta.chatkit.threads.with_raw_response.list_items(
                thread_id,
                limit=page.limit,
                order="desc" if page.descending else "asc",
                after=page.after.id if page.after else omit,
            )

        return to_page(await self._asked(call), to_item)

    async def delete_thread(self, thread_id: str) -> None:
        await self._asked(lambda client: client.beta.chatkit.threads.with_raw_response.delete(thread_id))

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _asked(
        self, call: Call, not_found: type[UpstreamRejected] = HostedNotFound, *, anew: bool = False
    ) -> dict[str, Any]:
        """The object that the provider answers with."""
        if self._client is None:
            raise ChatKitNotConfigured("OPENAI_API_KEY")
        attempt = Attempt(anew=anew)
        token = current_attempt.set(attempt)
        failure: UpstreamError
        try:
            async with asyncio.timeout(self._deadline_s):
                response = await call(self._client)
            return _object(response.content)
        except FAILURES as error:
            failure = (attempt.failure if isinstance(error, TimeoutError) else None) or _meant(error, not_found)
            if isinstance(error, TimeoutError) and failure.cause is None:
                failure.cause = f"no answer within {self._deadline_s:g} s (CHATORCH_CHATKIT_TIMEOUT_S)"
        except UNREADABLE:
            failure = UpstreamInvalid()
        finally:
            current_attempt.reset(token)
        raise failure.named(OPENAI_SETTINGS)


def _object(body: bytes) -> dict[str, Any]:
    value = json.loads(body)
    if not isinstance(value, dict):
        raise UpstreamInvalid
    return value


def _meant(error: BaseException, not_found: type[UpstreamRejected]) -> UpstreamError:
    if isinstance(error, openai.APIStatusError):
        code, status = str(error.code or ""), error.status_code
        if "organization" in code or "project" in code:
            return ChatKitWrongOrganization(WRONG_ORGANIZATION, status=status)
        if "domain" in code:
            return ChatKitDomainNotAllowed(DOMAIN_NOT_ALLOWED, status=status)
        if status == 404:
            return not_found(NOT_FOUND[not_found], status=status)
        if status in {400, 409, 410, 422}:
            return UpstreamRejected(f"OpenAI refuses the request with status {status}.", status=status)
    return failure_of(error)
