"""What a turn with two tool calls costs, beside the servers that others have for agents, and beside a bare loop.

Every turn is read to its end, and has to have called both tools and brought the whole answer. The goal is in costs of
the cheaper one of the others' servers.
"""

import asyncio
import json
import time
import uuid
from dataclasses import dataclass

from bench.agents.peers import NEW, Peer
from bench.agents.turn import PIECES, SAID
from bench.load import Cost, body_parts, cpu_seconds, median
from bench.table import digits, print_row, verdict
from bench.upstream import WORDS

GOAL = 0.5
IDLE_S = 3.0
FIRST = WORDS[0].strip().encode()
ANSWER = "".join(WORDS[:PIECES])


@dataclass(frozen=True)
class Load:
    """`turns` in all, by `clients` at a time."""

    turns: int
    clients: int


LOADS = {"burst": Load(200, 20), "paced": Load(80, 10)}


async def measure_agents(floor: Peer, others: list[Peer], ours: list[Peer], *, quick: bool) -> None:
    """The first of `ours` is held to the goal."""
    count = 1 if quick else 5
    print()
    print_row("agents", "ms a turn", "x loop", "x the better", "first text, ms", "goal")
    for load in LOADS:
        _show(load, await _in_turns([floor, *others, *ours], load, count), [each.name for each in others], ours[0].name)
    for each in others:
        print(f"{each.name}: {each.lacks}")


async def _in_turns(peers: list[Peer], load: str, count: int) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {}
    idle = {peer.name: await _warm(peer, load) for peer in peers}
    for _ in range(count):
        for peer in peers:
            cost = await measure(peer, load)
            # What the process does anyway, such as looking for work, is no cost of a turn
            cost.cpu_s -= idle[peer.name] * cost.wall_s
            costs.setdefault(peer.name, []).append(cost)
    return costs


async def _warm(peer: Peer, load: str) -> float:
    """A first round that does not count; then CPU seconds a second without a request."""
    await measure(peer, load)
    cpu, begun = cpu_seconds(peer.target.pid), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    return (cpu_seconds(peer.target.pid) - cpu) / (time.perf_counter() - begun)


def _show(load: str, costs: dict[str, list[Cost]], others: list[str], judged: str) -> None:
    figures = {name: [cost.ms_a_request() for cost in each] for name, each in costs.items()}
    floor = next(iter(figures.values()))
    better = min((figures[name] for name in others), key=median, default=None)
    for name, values in figures.items():
        cells, goal = [digits(median(values)), f"{_times(values, floor):.2f}", "-"], "-"
        if better:
            share = _times(values, better)
            cells[2] = f"{share:.2f}"
            goal = f"{GOAL:g} x the better: {verdict(share, GOAL)}" if name == judged else "-"
        first = median([cost.first_piece_ms(0.5) for cost in costs[name]])
        print_row(f"{load}, {name}", *cells, digits(first), goal)


def _times(values: list[float], theirs: list[float]) -> float:
    return median([mine / other for mine, other in zip(values, theirs, strict=True)])


async def measure(peer: Peer, load: str) -> Cost:
    cost, turns = Cost(), iter(range(LOADS[load].turns))
    pid = peer.target.pid
    cpu, wall = cpu_seconds(pid), time.perf_counter()
    await asyncio.gather(*(_client(peer, load, turns, cost) for _ in range(LOADS[load].clients)))
    cost.cpu_s, cost.wall_s = cpu_seconds(pid) - cpu, time.perf_counter() - wall
    return cost


async def _client(peer: Peer, load: str, turns, cost: Cost) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.target.port, limit=2**22)
    request = _request(peer, load)
    for _ in turns:
        sent = time.perf_counter()
        writer.write(request.replace(NEW.encode(), str(uuid.uuid4()).encode()))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        said, begun = [], None
        async for part in body_parts(head, reader):
            if begun is None and FIRST in part:
                begun = time.perf_counter() - sent
            said.append(part)
        _check(peer, head, b"".join(said))
        cost.requests += 1
        cost.first_piece_s.append(begun)
    writer.close()


def _request(peer: Peer, load: str) -> bytes:
    dialect = peer.dialect
    body = json.dumps(dialect.body(load)).encode()
    lines = [f"POST {dialect.path.format(load=load)} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json"]
    lines += [f"content-length: {len(body)}", *peer.target.headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _check(peer: Peer, head: bytes, said: bytes) -> None:
    """The upstream answers only whom both tools have told what they must; here is seen that all of it came through."""
    events = [line[6:] for line in said.splitlines() if line.startswith((b"data: {", b"data: ["))]
    events = [json.loads(event) for event in events if event != b"[DONE]"]
    told = "".join(map(peer.dialect.text, events)) if b" 200 " in head else ""
    if told != ANSWER or not all(name.encode() in said for name in SAID):
        raise SystemExit(f"{peer.name}: {head.decode()}{said.decode()[-2000:]}")
