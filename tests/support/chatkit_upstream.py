"""OpenAI's ChatKit sessions and threads on loopback: a plain asyncio server that cuts, waits and loses answers.

How ``POST /v1/chatkit/sessions`` is answered is said by `plans`, one for each request; without one it is answered well.
What it creates is in `sessions`, whether or not its answer arrives: that is what a provider knows.
"""

import asyncio
import json
import random
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

RST = struct.pack("ii", 1, 0)
LIFE_S = 600

THREAD: dict[str, Any] = {
    "id": "cthr_1", "object": "chatkit.thread", "created_at": 1_790_000_000, "status": {"type": "active"},
    "title": "A title", "user": "usr_ann",
}  # fmt: skip
ITEM: dict[str, Any] = {
    "id": "cthi_1", "object": "chatkit.thread_item", "type": "chatkit.user_message", "thread_id": "cthr_1",
    "created_at": 1_790_000_001, "content": [{"type": "input_text", "text": "hello"}], "attachments": [],
    "inference_options": None,
}  # fmt: skip


def session_json(
    number: str, user: str = "usr_ann", status: str = "active", secret: str = "ek_secret"
) -> dict[str, Any]:
    return {
        "id": f"cksess_{number}", "object": "chatkit.session", "client_secret": f"{secret}{number}",
        "expires_at": int(time.time()) + LIFE_S, "max_requests_per_1_minute": 10,
        "rate_limits": {"max_requests_per_1_minute": 10},
        "status": status, "user": user,
        "workflow": {"id": "wf_one", "version": None, "state_variables": None, "tracing": {"enabled": True}},
        "chatkit_configuration": {
            "automatic_thread_titling": {"enabled": True},
            "file_upload": {"enabled": False, "max_file_size": None, "max_files": None},
            "history": {"enabled": True, "recent_threads": None},
        },
    }  # fmt: skip


def list_json(data: list[dict[str, Any]]) -> dict[str, Any]:
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"object": "list", "data": data, **ends, "has_more": False}


@dataclass(frozen=True)
class Plan:
    """`after` bytes of the answer, then `then`: ``close``, ``reset`` or ``hang``. `status` and `body`: another one.

    `location`: a header of that name.
    """

    after: int | None = None
    then: str = "close"
    status: int = 200
    body: str | None = None
    creates: bool = True
    location: str | None = None


def random_cut(chance: random.Random) -> Plan:
    """Anywhere in the answer, its head included; or none at all of it."""
    return Plan(chance.choice([0, 0, chance.randrange(1, 700)]), chance.choice(["close", "reset"]))


@dataclass
class ChatKitUpstream:
    plans: list[Plan] = field(default_factory=list)
    secret: str = "ek_secret"
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    threads: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    hanging: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def live(self) -> set[str]:
        return {id_ for id_, session in self.sessions.items() if session["status"] == "active"}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next(
                    (int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0
                )
                body = await reader.readexactly(length)
                method, target, _ = head.split(" ", 2)
                self.requests.append(f"{method} {target}")
                if not await self.answer(method, target, body, writer):
                    break
        writer.close()

    async def answer(self, method: str, target: str, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection lives on."""
        plan = Plan()
        if target.partition("?")[0] == "/v1/chatkit/sessions":
            plan = self.plans.pop(0) if self.plans else plan
            answer = self.create(json.loads(body)) if plan.creates else {}
        else:
            answer = self.other(method, target)
        text = (json.dumps(answer) if plan.body is None else plan.body).encode()
        status = plan.status if answer is not None else 404
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n"
        if plan.location is not None:
            head += f"location: {plan.location}\r\n"
        whole = head.encode() + b"\r\n" + text
        writer.write(whole if plan.after is None else whole[: plan.after])
        await writer.drain()
        if plan.after is None or plan.after >= len(whole):
            return True
        if plan.then == "hang":
            self.hanging.set()
            await asyncio.Event().wait()
        if plan.then == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        return False

    def create(self, asked: dict[str, Any]) -> dict[str, Any]:
        session = session_json(str(len(self.sessions) + 1), asked["user"], secret=self.secret)
        self.sessions[session["id"]] = session
        return session

    def other(self, method: str, target: str) -> dict[str, Any] | None:
        """None: there is no such thing."""
        path, _, _ = target.removeprefix("/v1/chatkit/").partition("?")
        match method, path.split("/"):
            case "POST", ["sessions", id_, "cancel"] if id_ in self.sessions:
                self.cancels.append(id_)
                self.sessions[id_]["status"] = "cancelled"
                return self.sessions[id_]
            case "GET", ["threads"]:
                return list_json(list(self.threads.values()))
            case "GET", ["threads", id_] if id_ in self.threads:
                return self.threads[id_]
            case "GET", ["threads", id_, "items"] if id_ in self.threads:
                return list_json([])
            case "DELETE", ["threads", id_] if id_ in self.threads:
                del self.threads[id_]
                return {"id": id_, "object": "chatkit.thread.deleted", "deleted": True}
        return None


@asynccontextmanager
async def chatkit_upstream() -> AsyncIterator[ChatKitUpstream]:
    upstream = ChatKitUpstream()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await upstream.serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
