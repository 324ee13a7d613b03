"""A page of the AI SDK's on its socket, frame by frame: what `WebSocketChatTransport` sends, and what it is sent."""

import itertools
from typing import Any

from tests.support.ws import Device, Door, Frame

PATH = "/ws/ai-sdk"
_NUMBERS = itertools.count(1)


def user_message(text: str) -> dict[str, Any]:
    return {"id": f"m{next(_NUMBERS)}", "role": "user", "parts": [{"type": "text", "text": text}]}


class Page:
    """One connection. `headers` go with each request."""

    def __init__(self, device: Device, headers: dict[str, str] | None = None) -> None:
        self.device = device
        self.headers = headers or {}

    async def send(self, chat: str, text: str = "Hi", **members: Any) -> str:
        asked = {"id": chat, "trigger": "submit-message", "messages": [user_message(text)], **members}
        return await self._ask("send", asked)

    async def resume(self, chat: str, **members: Any) -> str:
        return await self._ask("resume", {"id": chat, **members})

    async def abort(self, request_id: str) -> None:
        await self.device.send("abort", requestId=request_id)

    async def over(self, request_id: str) -> list[Frame]:
        """All frames of a request, once it is over."""
        ends = ("end", "error", "no-active")
        if not any(frame["type"] in ends for frame in self.of(request_id)):
            await self.device.until(lambda frame: frame["requestId"] == request_id and frame["type"] in ends)
        return self.of(request_id)

    async def shows(self, request_id: str, text: str) -> None:
        while text not in shown(self.of(request_id)):
            await self.device.receive()

    async def error(self, request_id: str) -> str:
        *_, last = await self.over(request_id)
        assert last["type"] == "error", last
        return str(last["errorText"])

    def of(self, request_id: str) -> list[Frame]:
        return [frame for frame in self.device.frames if frame.get("requestId") == request_id]

    async def _ask(self, kind: str, members: dict[str, Any]) -> str:
        request_id = members.pop("requestId", None) or f"r{next(_NUMBERS)}"
        await self.device.send(kind, **{"requestId": request_id, "headers": self.headers, "body": {}, **members})
        return str(request_id)


async def page_at(door: Door, token: str | None = None, *, headers: dict[str, str] | None = None) -> Page:
    """`token` goes with the handshake, `headers` with each request."""
    return Page(await door.connect(path=PATH, token=token), headers)


def chunks(frames: list[Frame]) -> list[dict[str, Any]]:
    """Fails where one is missing, or twice there."""
    told = [frame for frame in frames if frame["type"] == "chunk"]
    first = told[0]["sequence"] if told else 0
    assert [frame["sequence"] for frame in told] == list(range(first, first + len(told)))
    return [frame["chunk"] for frame in told]


def shown(frames: list[Frame]) -> str:
    """The answer's text, as the client's own fold leaves it."""
    text = ""
    for chunk in chunks(frames):
        if chunk["type"] == "reset-step":
            text = ""
        elif chunk["type"] == "text-delta":
            text += chunk["delta"]
    return text
