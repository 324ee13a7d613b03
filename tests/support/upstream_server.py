"""The server behind `tests.support.upstream`, where everything is described. Sockets by hand, standard library only."""

import asyncio
import base64
import fcntl
import itertools
import json
import socket
import struct
import sys
import termios
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support import upstream as steps
from tests.support.strict import refusal

RST = struct.pack("ii", 1, 0)
KEPT = 50_000
Step = dict[str, Any]


class Cut(Exception):
    """The connection is over: `how` is ``close`` or ``reset``."""

    def __init__(self, how: str) -> None:
        self.how = how


class Ended(Exception):
    """The answer is over, the connection is not."""


class Request:
    """One request, and what became of it."""

    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes, connection: int) -> None:
        self.method, self.target, self.headers = method, target, headers
        self.kept = False
        self.body: dict[str, Any] = json.loads(body or b"{}")
        self.model = str(self.body.get("model", ""))
        self.connection = connection
        self.at = time.monotonic()
        self.ended_at: float | None = None
        self.closed_at: float | None = None
        self.paused: str | None = None
        self.sent = 0

    def told(self) -> dict[str, Any]:
        names = ("model", "method", "target", "headers", "body", "connection", "at")
        names += ("ended_at", "closed_at", "paused", "sent")
        return {name: getattr(self, name) for name in names}

    def has(self, what: str) -> bool:
        return {
            "seen": True,
            "paused": self.paused is not None,
            "ended": self.ended_at is not None,
            "closed": self.closed_at is not None,
        }[what]


class State:
    """Scripts, pauses, and everything seen."""

    def __init__(self) -> None:
        self.connections = 0
        self.numbers = 0
        self.clear()

    def clear(self) -> None:
        self.scripts: dict[str, list[list[Step]]] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.requests: deque[Request] = deque(maxlen=KEPT)
        self.changed = asyncio.Event()

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    def tell(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def script_for(self, request: Request) -> list[Step]:
        scripts = self.scripts.get(request.model)
        if not scripts:
            return named_script(request)
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]

    def matching(self, model: str) -> list[Request]:
        return [request for request in self.requests if model in ("", request.model)]


def named_script(request: Request) -> list[Step]:
    name, _, numbers = request.model.partition("-")
    count, _, delay = numbers.partition("-") if name == "mock" else ("3", "", "0")
    every = float(delay) / 1000
    if not request.body.get("stream"):
        return [steps.wait(every), steps.json_answer("".join(f" tok{i}" for i in range(int(count))))]
    script = [steps.tokens(int(count), every), steps.finish()]
    if (request.body.get("stream_options") or {}).get("include_usage"):
        script.append(steps.usage(9, int(count)))
    return [*([steps.strict()] if name == "strict" else []), *script, steps.done()]


class Answer:
    """Plays one script on one connection."""

    def __init__(self, state: State, request: Request, writer: asyncio.StreamWriter) -> None:
        self.state, self.request, self.writer = state, request, writer
        self.status, self.type, self.chunked = 200, "text/event-stream", True
        self.head_sent = False
        self.left: int | None = None
        self.then = "end"
        self.grain: int | None = None

    async def play(self, script: list[Step]) -> None:
        """Raises `Cut` where the connection must not live on."""
        with suppress(Ended):
            for step in script:
                await getattr(self, f"do_{step['do']}")(step)
            await self.do_end({})

    async def send(self, data: bytes) -> None:
        if self.left is not None:
            data, self.left = data[: self.left], self.left - len(data)
        size = self.grain or len(data) or 1
        for start in range(0, len(data), size):
            await self.send_now(data[start : start + size])
        if self.left is not None and self.left <= 0:
            await getattr(self, f"do_{self.then}")({})

    async def send_now(self, data: bytes) -> None:
        self.send_head()
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)
        self.request.sent += len(data)
        if self.grain:
            await asyncio.sleep(0)
        await self.writer.drain()

    def send_head(self) -> None:
        if not self.head_sent:
            self.head_sent = True
            framing = "transfer-encoding: chunked" if self.chunked else "connection: close"
            self.writer.write(f"HTTP/1.1 {self.status} X\r\ncontent-type: {self.type}\r\n{framing}\r\n\r\n".encode())

    # -- steps

    async def do_text(self, step: Step) -> None:
        for piece in step["pieces"]:
            await self.send(b"data: " + json.dumps(steps.delta(content=piece)).encode() + b"\n\n")
            if step["every"]:
                await asyncio.sleep(step["every"])

    async def do_raw(self, step: Step) -> None:
        await self.send(base64.b64decode(step["data"]))

    async def do_comments(self, step: Step) -> None:
        while True:
            await self.send(b": keep-alive\n\n")
            await asyncio.sleep(step["every"])

    async def do_wait(self, step: Step) -> None:
        await asyncio.sleep(step["seconds"])

    async def do_hang(self, step: Step) -> None:
        await asyncio.Event().wait()

    async def do_pause(self, step: Step) -> None:
        self.request.paused = step["name"]
        self.state.tell()
        await self.state.gate(step["name"]).wait()
        self.request.paused = None

    async def do_end(self, step: Step) -> None:
        self.send_head()
        if not self.chunked:
            raise Cut("close")
        self.writer.write(b"0\r\n\r\n")
        raise Ended

    async def do_close(self, step: Step) -> None:
        self.send_head()
        raise Cut("close")

    async def do_reset(self, step: Step) -> None:
        raise Cut("reset")

    async def do_cut(self, step: Step) -> None:
        self.left, self.then = step["after"], step["then"]
        await self.send(b"")

    async def do_grains(self, step: Step) -> None:
        self.grain = step["size"]

    async def do_unframed(self, step: Step) -> None:
        self.chunked = False

    async def do_head(self, step: Step) -> None:
        self.type, self.status = step["type"], step["status"]

    async def do_refuses(self, step: Step) -> None:
        if step["member"] in self.request.body:
            await self.do_answer(step["answer"])

    async def do_bare(self, step: Step) -> None:
        self.writer.write(base64.b64decode(step["data"]))
        raise Cut("close")

    async def do_stale(self, step: Step) -> None:
        if self.request.kept:
            raise Cut(step["how"])

    async def do_strict(self, step: Step) -> None:
        if refused := refusal(self.request.body, step["word"], step["members"]):
            await self.do_answer(steps.status(400, body=json.dumps(refused)))

    async def do_answer(self, step: Step) -> None:
        body = step["body"].replace("{authorization}", self.request.headers.get("authorization", "")).encode()
        headers = {**step["headers"], "content-length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.writer.write(f"HTTP/1.1 {step['status']} X\r\n{lines}\r\n".encode() + body)
        raise Ended


class Connection:
    """Reads requests and answers them, one after the other; notices at once when the client hangs up."""

    def __init__(self, state: State, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.state, self.reader, self.writer = state, reader, writer
        self.number = state.numbers = state.numbers + 1
        self.ahead = b""

    async def serve(self) -> None:
        self.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError, asyncio.IncompleteReadError):
            async for request in self.requests():
                if request.target.startswith("/control"):
                    self.answer_json(await control(self.state, request))
                    continue
                self.state.requests.append(request)
                self.state.tell()
                if not await self.answered(request):
                    break
        self.writer.close()

    async def requests(self) -> AsyncIterator[Request]:
        for count in itertools.count():
            top = self.ahead + await self.reader.readuntil(b"\r\n\r\n")
            self.ahead = b""
            first, *lines = top.decode("latin1").strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
            method, target, _ = first.split(" ", 2)
            request = Request(method, target, headers, body, self.number)
            request.kept = count > 0
            yield request

    async def answered(self, request: Request) -> bool:
        """Whether the connection lives on."""
        playing = asyncio.ensure_future(Answer(self.state, request, self.writer).play(self.state.script_for(request)))
        hangup = asyncio.ensure_future(self.reader.read(1))
        await asyncio.wait({playing, hangup}, return_when=asyncio.FIRST_COMPLETED)
        if hangup.done() and (hangup.exception() or not hangup.result()):
            playing.cancel()
        try:
            await playing
        except Cut as cut:
            await self.cut(cut.how)
            request.ended_at = time.monotonic()
            return False
        except (asyncio.CancelledError, OSError):
            request.closed_at = time.monotonic()
            return False
        else:
            request.ended_at = time.monotonic()
            return await self.goes_on(hangup)
        finally:
            hangup.cancel()
            self.state.tell()

    async def goes_on(self, hangup: asyncio.Future[bytes]) -> bool:
        """Ends the watch for a hang-up, which may have caught the first byte of the next request."""
        hangup.cancel()
        try:
            self.ahead = await hangup
        except asyncio.CancelledError:
            return True
        except OSError:
            return False
        return bool(self.ahead)

    async def cut(self, how: str) -> None:
        if how == "reset":
            await self.all_received()
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        self.writer.close()

    async def all_received(self) -> None:
        """Waits, a second at most, until the client's kernel has everything: RST drops what was not yet sent."""
        for _ in range(1000):
            left = fcntl.ioctl(self.writer.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
            if left == bytes(4):
                return
            await asyncio.sleep(0.001)

    def answer_json(self, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (len(body), body))
        self.writer.close()


async def control(state: State, request: Request) -> object:
    url = urlsplit(request.target)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    model = query.get("model", "")
    match request.method, url.path:
        case "POST", "/control":
            state.scripts[request.model] = request.body["scripts"]
        case "POST", "/control/release":
            state.gate(request.body["name"]).set()
        case "POST", "/control/clear":
            state.clear()
        case "GET", "/control/stats":
            return {"connections": state.connections - 1, "requests": len(state.requests)}
        case "GET", "/control/seen":
            return [seen.told() for seen in state.matching(model)]
        case "GET", "/control/wait":
            what, count = query["what"], int(query.get("count", "1"))
            while len(found := [seen for seen in state.matching(model) if seen.has(what)]) < count:
                await state.changed.wait()
            return [seen.told() for seen in found]
    return {}


async def serve(port: int) -> None:
    state = State()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        try:
            await Connection(state, reader, writer).serve()
        finally:
            state.connections -= 1

    server = await asyncio.start_server(connected, "127.0.0.1", port, backlog=2048, limit=2**26)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await server.serve_forever()


def main() -> None:
    """`argv[1]` is the port; 0 or nothing: any that is free. Prints it once the server listens."""
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))


if __name__ == "__main__":
    main()
