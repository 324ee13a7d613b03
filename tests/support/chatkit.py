"""ChatKit as a provider hosts it, in memory: what was asked of it is kept, and it waits or fails where a test says."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx

from chatorch.domain.model.chatkit_hosted.errors import HostedNotFound
from chatorch.domain.model.chatkit_hosted.history import HostedItem, HostedThread
from chatorch.domain.model.chatkit_hosted.paging import HostedCursor
from chatorch.domain.model.chatkit_hosted.session import ClientSecret, IssuedSession
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import Page, PageRequest, bad_cursor
from chatorch.ports.chatkit_hosted.provider import HostedThreads, SessionProvider
from chatorch.ports.system import Clock
from tests.support.eventually import eventually
from tests.support.fakes import Pause, settle

WORKFLOW = "wf_one"
SETTINGS = {"openai_api_key": "sk-test-of-chatkit", "chatkit_workflows": f"{WORKFLOW},wf_two"}
"""What an operator sets so that there is hosted ChatKit."""

SESSION, REFRESH = "/api/chatkit/session", "/api/chatkit/refresh"

Step = Exception | Pause


@dataclass
class Created:
    user_id: UserId
    workflow_id: str
    issued: IssuedSession
    cancelled: int = 0


class FakeChatKit(SessionProvider, HostedThreads):
    """`creating` and `cancelling` are played by the next calls, one step each: an exception is raised, a pause held."""

    def __init__(self, clock: Clock, *, life_s: int = 600) -> None:
        self.sessions: dict[str, Created] = {}
        self.threads: dict[str, HostedThread] = {}
        self.items: dict[str, list[HostedItem]] = {}
        self.creating: list[Step] = []
        self.cancelling: list[Step] = []
        self.asked = 0
        self._clock = clock
        self._life = timedelta(seconds=life_s)
        self._numbers = itertools.count(1)

    async def create(self, user_id: UserId, workflow_id: str) -> IssuedSession:
        self.asked += 1
        await _play(self.creating)
        number = next(self._numbers)
        issued = IssuedSession(
            f"cksess_{number}", ClientSecret(f"ek_secret{number:08}"), self._clock.now() + self._life
        )
        self.sessions[issued.id] = Created(user_id, workflow_id, issued)
        return issued

    async def cancel(self, upstream_id: str) -> None:
        await _play(self.cancelling)
        if created := self.sessions.get(upstream_id):
            created.cancelled += 1

    @property
    def cancels(self) -> list[int]:
        """How often each session was cancelled, in the order of their creation."""
        return [created.cancelled for created in self.sessions.values()]

    def add_thread(self, thread_id: str, user_id: UserId, created_at: datetime, *texts: str) -> HostedThread:
        thread = self.threads[thread_id] = HostedThread(thread_id, user_id, texts[0], "active", created_at)
        self.items[thread_id] = [
            HostedItem(f"cthi_{thread_id}_{i}", thread_id, "user_message", created_at, {"content": [{"text": text}]})
            for i, text in enumerate(texts)
        ]
        return thread

    async def list_threads(self, user_id: UserId, page: PageRequest[HostedCursor]) -> Page[HostedThread]:
        return _page([thread for thread in self.threads.values() if thread.user_id == user_id], page)

    async def read_thread(self, thread_id: str) -> HostedThread:
        self._require(thread_id)
        return self.threads[thread_id]

    async def list_items(self, thread_id: str, page: PageRequest[HostedCursor]) -> Page[HostedItem]:
        self._require(thread_id)
        return _page(self.items[thread_id], page)

    async def delete_thread(self, thread_id: str) -> None:
        self._require(thread_id)
        del self.threads[thread_id], self.items[thread_id]

    async def aclose(self) -> None: ...

    def _require(self, thread_id: str) -> None:
        if thread_id not in self.threads:
            raise HostedNotFound


async def _play(steps: list[Step]) -> None:
    step = steps.pop(0) if steps else None
    if isinstance(step, Pause):
        await step.hold()
        await settle()
    elif step is not None:
        raise step


def _page(things: Sequence, page: PageRequest[HostedCursor]) -> Page:
    ordered = list(reversed(things)) if page.descending else list(things)
    if page.after is not None:
        places = [i for i, thing in enumerate(ordered) if thing.id == page.after.id]
        if not places:
            raise bad_cursor()
        ordered = ordered[places[0] + 1 :]
    shown = tuple(ordered[: page.limit])
    return Page(shown, HostedCursor(shown[-1].id).encode() if len(ordered) > page.limit else None)


# -- asking ----------------------------------------------------------------------------------------------------------


async def opened(client: httpx.AsyncClient, **body: str) -> dict[str, str]:
    answer = await client.post(SESSION, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refreshed(client: httpx.AsyncClient, secret: str) -> httpx.Response:
    return await client.post(REFRESH, json={"client_secret": secret})


async def until_cancelled(chatkit: FakeChatKit, expected: list[int]) -> None:
    async def look() -> bool:
        return chatkit.cancels == expected

    await eventually(look)
