"""A page of a user's with `useChat`, by any of the client's versions and transports."""

import itertools
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.client_process import Call, ClientProcess
from tests.support.upstream import Step, Upstream, done, finish, usage

_numbers = itertools.count(1)
SETTLED = {"do": "settled"}


@dataclass(frozen=True)
class Client:
    version: int
    over: str = "http"

    @property
    def asks(self) -> str:
        """How its call begins."""
        return "POST /api/ai-sdk" if self.over == "http" else "GET /ws/ai-sdk"

    @property
    def answer(self) -> tuple[int, int]:
        """Between which bytes there is one to the message: a socket's handshake is answered before it is sent."""
        return (1, 400) if self.over == "http" else (500, 900)

    @property
    def small(self) -> dict[str, int]:
        """The settings of a server that has room for one answer at a time."""
        return {"max_followers_per_user": 1} if self.over == "http" else {"max_live_runs_per_user": 1}

    def __str__(self) -> str:
        return f"{self.version} {self.over}"


HTTP_7 = Client(7)
CLIENTS = (HTTP_7, Client(6), Client(7, "ws"), Client(7, "ws, token in handshake"))


class Browser:
    """Pages of one chat of Alice's; each is opened by what its user does in it."""

    def __init__(self, pages: ClientProcess, client: Client, url: str, token: str, upstream: Upstream) -> None:
        self._pages = pages
        known = {"version": client.version, "over": client.over}
        self._given = {**known, "url": url, "token": token, "chat": f"chat/{next(_numbers)}"}
        self._upstream = upstream

    def play(self, *script: Step, reason: str = "stop") -> None:
        """Ends well, where the script does not end it."""
        self._given["model"] = self._upstream.model((*script, finish(reason), usage(), done()))

    def open(self, *steps: dict[str, Any], **given: Any) -> Call:
        return self._pages.begin("chat", **{**self._given, **given}, steps=steps)

    async def see(self, *steps: dict[str, Any], **given: Any) -> dict[str, Any]:
        seen: dict[str, Any] = await self.open(*steps, **given).value()
        return seen

    async def stored(self, url: str | None = None) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self._given['token']}"}
        path = f"{url or self._given['url']}/api/ai-sdk/{self._given['chat'].replace('/', '%2F')}/messages"
        async with httpx.AsyncClient(headers=headers) as client:
            messages: list[dict[str, Any]] = (await client.get(path)).raise_for_status().json()["data"]
        return messages


def send(text: str = "Hi", **members: Any) -> dict[str, Any]:
    return {"do": "send", "text": text, **members}


def said(messages: list[dict[str, Any]]) -> list[str]:
    return ["".join(p["text"] for p in message["parts"] if p["type"] == "text") for message in messages]


def without_metadata(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    told = [{name: value for name, value in message.items() if name != "metadata"} for message in messages]
    for message in told:
        message["parts"] = [
            part if message["role"] == "assistant" else {"type": part["type"], "text": part["text"]}
            for part in message["parts"]
        ]
    return told
