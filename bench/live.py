"""What WebSockets cost: memory of an idle one, CPU of a frame and of an event told to all, delay between workers.

Beside a bare FastAPI loop (`bench.bare_socket`) in the same run.
"""

import asyncio
import bisect
import json
import time
from collections.abc import Sequence

from bench.load import Target, cpu_seconds, median, resident_kb
from bench.sockets import Socket, connect
from bench.table import print_row, verdict

SETTLE_S = 2.0
TOKENS = 100
SAID = f"mock-{TOKENS}-20"


class Crowd:
    """Many sockets on one server, one for each path; counts what they hear."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.heard = 0
        self.sockets: list[Socket] = []
        self._wanted = 0
        self._reached = asyncio.Event()

    async def join(self, paths: Sequence[tuple[str, str | None]]) -> None:
        for start in range(0, len(paths), 50):
            some = paths[start : start + 50]
            self.sockets += await asyncio.gather(*(connect(self.target.port, *self._way(*path)) for path in some))

    def _way(self, path: str, token: str | None):
        return path, self._hear, token

    def _hear(self, _payload: bytes, _at: float) -> None:
        self.heard += 1
        if self.heard >= self._wanted:
            self._reached.set()

    async def until(self, count: int) -> None:
        self._wanted = count
        if self.heard < count:
            self._reached.clear()
            async with asyncio.timeout(60):
                await self._reached.wait()

    def leave(self) -> None:
        for socket in self.sockets:
            socket.transport.abort()


def paths_of(target: Target, count: int) -> list[tuple[str, str | None]]:
    """A user of its own for each socket; the bare loop knows none."""
    if not target.tokens:
        return [(f"/ws/{i}", None) for i in range(count)]
    return [("/ws/chat/bench", token) for token in target.tokens[:count]]


async def idle_kb(target: Target, count: int) -> float:
    crowd, before = Crowd(target), resident_kb(target.pid)
    await crowd.join(paths_of(target, count))
    await asyncio.sleep(SETTLE_S)
    kilobytes = (resident_kb(target.pid) - before) / count
    crowd.leave()
    await asyncio.sleep(SETTLE_S)
    return kilobytes


async def echo_us(target: Target, count: int, frames: int) -> float:
    """CPU of the server for a frame that comes and is answered."""
    crowd = Crowd(target)
    await crowd.join(paths_of(target, count))
    cpu = cpu_seconds(target.pid)
    for turn in range(1, frames + 1):
        for socket in crowd.sockets:
            socket.send(b'{"type":"ping"}')
        await crowd.until(turn * count)
    cpu = cpu_seconds(target.pid) - cpu
    crowd.leave()
    await asyncio.sleep(SETTLE_S / 4)
    return cpu / (count * frames) * 1e6


async def fan_out_us(target: Target, count: int, events: int) -> float:
    """CPU of the server for each socket that one event is told to."""
    crowd = Crowd(target)
    await crowd.join(paths_of(target, count))
    await post(target, "hello")
    await crowd.until(count)
    cpu = cpu_seconds(target.pid)
    for turn in range(2, events + 2):
        await post(target, "what is told to everyone, and is as long as such a thing may be")
        await crowd.until(turn * count)
    cpu = cpu_seconds(target.pid) - cpu
    crowd.leave()
    await asyncio.sleep(SETTLE_S / 4)
    return cpu / (count * events) * 1e6


def _own() -> dict[str, object]:
    return {"type": "chat.send", "id": f"{time.time_ns()}", "content": "Hi", "model": SAID}


def _ai_sdk() -> dict[str, object]:
    message = {"id": f"m{time.time_ns()}", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    return {
        "type": "send",
        "requestId": "r",
        "id": f"c{time.time_ns()}",
        "messages": [message],
        "body": {"model": SAID},
    }


DOORS = {"/ws/chat/bench": (_own, b"run.completed"), "/ws/ai-sdk": (_ai_sdk, b'"end"')}


async def token_us(target: Target, path: str, count: int) -> float:
    """CPU of the server for a token of an answer that comes over a socket, one of a user's."""
    ask, end = DOORS[path]
    over = 0
    all_over = asyncio.Event()

    def hear(payload: bytes, _at: float) -> None:
        nonlocal over
        if end in payload:
            over += 1
            if over == count:
                all_over.set()

    sockets = [await connect(target.port, path, hear, token) for token in target.tokens[:count]]
    cpu = cpu_seconds(target.pid)
    for socket in sockets:
        socket.say(**ask())
    async with asyncio.timeout(60):
        await all_over.wait()
    cpu = cpu_seconds(target.pid) - cpu
    for socket in sockets:
        socket.transport.abort()
    await asyncio.sleep(SETTLE_S / 4)
    return cpu / (count * TOKENS) * 1e6


async def post(target: Target, text: str) -> None:
    body = json.dumps({"text": text}).encode()
    lines = [f"POST {target.path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json", "connection: close"]
    lines += [f"content-length: {len(body)}", *target.headers]
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    answer = await reader.read()
    writer.close()
    if not answer.startswith(b"HTTP/1.1 2"):
        raise SystemExit(f"{target.name}: {answer[:200]!r}")


class Follower:
    """When which position of a run was reached."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.times: list[float] = []
        self.began: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()

    def hear(self, payload: bytes, at: float) -> None:
        event = json.loads(payload)
        if event["type"] == "run.started" and not self.began.done():
            self.began.set_result(event["run_id"])
        if "seq" in event:
            self.positions.append(event["seq"])
            self.times.append(at)
        if event["type"].startswith("run.") and event["type"] != "run.started":
            self.ended.set()


async def delays_ms(executor: Target, other: Target, runs: int) -> list[float]:
    """Between an event's coming to a socket on the worker that executes the run, and to one on another worker."""
    delays: list[float] = []
    for token in executor.tokens[:runs]:
        here, there = Follower(), Follower()
        asking = await connect(executor.port, "/ws/chat/one", here.hear, token)
        following = await connect(other.port, "/ws/chat/two", there.hear, token)
        asking.say(type="chat.send", id="1", content="Hi", model="mock-100-20")
        following.say(type="run.follow", id="1", run_id=await here.began)
        async with asyncio.timeout(30):
            await asyncio.gather(here.ended.wait(), there.ended.wait())
        first = there.times[1]  # live from there on; before it is replay
        for position, at in zip(here.positions, here.times, strict=True):
            if at > first and (index := bisect.bisect_left(there.positions, position)) < len(there.times):
                delays.append((there.times[index] - at) * 1e3)
        asking.transport.abort()
        following.transport.abort()
    return sorted(delays)


async def measure_live(bare: Target, ours: Target, pair: tuple[Target, Target], *, quick: bool) -> None:
    print()
    print_row("WebSockets", "bare loop", "", "chatorch", "x bare", "goal")
    sockets = 1000 if quick else 4000
    kb = [await idle_kb(target, sockets) for target in (bare, ours)]
    show(f"an idle socket, KB ({sockets})", kb, f"40 KB: {verdict(kb[1], 40)}")
    rounds = 1 if quick else 3
    echo = [median([await echo_us(target, 200, 50) for _ in range(rounds)]) for target in (bare, ours)]
    show("a frame and its answer, us CPU", echo, "-")
    fan = [median([await fan_out_us(target, 1000, 20) for _ in range(rounds)]) for target in (bare, ours)]
    show("an event to 1,000, us CPU each", fan, f"20 us: {verdict(fan[1], 20)}")
    doors = [[await token_us(ours, path, 40) for path in DOORS] for _ in range(max(rounds, 2))]
    own, ai_sdk = (median(costs) for costs in zip(*doors, strict=True))
    print_row("a token over /ws/chat, us", "", "", f"{own:.1f}", "x own", "")
    print_row("over /ws/ai-sdk", "", "", f"{ai_sdk:.1f}", f"{ai_sdk / own:.2f}", f"1.3: {verdict(ai_sdk / own, 1.3)}")
    started = time.perf_counter()
    delays = await delays_ms(*pair, runs=3 if quick else 10)
    p50, p99 = (delays[int((len(delays) - 1) * share)] for share in (0.5, 0.99))
    print_row(
        "worker to worker, ms", "", "", f"{p50:.1f}, {p99:.1f}", "p50, p99", f"{time.perf_counter() - started:.0f} s"
    )


def show(name: str, values: Sequence[float], goal: str) -> None:
    bare, ours = values
    print_row(name, f"{bare:.1f}", "", f"{ours:.1f}", f"{ours / bare:.2f}", goal)
