"""`python -m bench [--quick]`: chatorch beside a bare relay and other servers, as ratios of CPU in one run.

The machine may be noisy: every figure is the median of rounds in which all servers take turns.
"""

import argparse
import asyncio
import json
import time

from bench.agents.measure import measure_agents
from bench.agents.servers import agent_servers
from bench.chatkit import measure_chatkit
from bench.doors import COMPLETIONS, MODELS, measure_doors
from bench.live import measure_live
from bench.load import Cost, Target, cpu_seconds, measure, median, resident_kb
from bench.rounds import Load, check, rounds
from bench.servers import all_servers, chatkit_servers, door_servers, live_servers, store_servers
from bench.stores import measure_stores
from bench.table import digits, print_row, verdict

NOTE = """Servers of others are installed into .bench the first time: LiteLLM, pydantic-ai, LangGraph, Aegra.
CHATORCH_BENCH_LITELLM names an executable to be used instead, CHATORCH_BENCH_AGENTS a folder with the environments
pydantic-ai, langgraph and aegra. What cannot be had is left out."""
PARTS = ("streams", "stores", "doors", "chatkit", "live", "agents")
TOKENS = 100
IDLE_S = 3.0
QUESTION = {"messages": [{"role": "user", "content": "How do tides work?"}]}


def body(model: str, *, stream: bool) -> bytes:
    """`model` says what the upstream does: see `bench.upstream`."""
    return json.dumps({**QUESTION, "model": model, "stream": stream}).encode()


PACED = Load(body(f"mock-{TOKENS}-20", stream=True), 80, 40)
BURST = Load(body(f"mock-{TOKENS}-0", stream=True), 200, 20)
WHOLE = Load(body("mock-9-0", stream=False), 200, 20)


async def compare(targets: dict[str, Target], quick: bool) -> None:
    count = 1 if quick else 5
    three = [targets["relay"], targets["tutorial"], targets["chatorch"]]
    print_row("load", "relay", "tutorial", "chatorch", "x relay", "goal")
    paced = await rounds(three, PACED, count)
    show_streams("paced, us CPU a token", paced, lambda cost: cost.us_a_token(TOKENS), 1.7)
    burst = await rounds(three, BURST, count)
    show_streams("burst, ms CPU a stream", burst, lambda cost: cost.ms_a_request(), 4.0)
    whole = await rounds(three, WHOLE, count)
    json_ms = {name: median([cost.ms_a_request() for cost in costs]) for name, costs in whole.items()}
    ratio = f"{json_ms['chatorch'] / json_ms['relay']:.1f}"
    goal = f"1.2 ms: {verdict(json_ms['chatorch'], 1.2)}"
    print_row("JSON, ms CPU a request", *(f"{value:.2f}" for value in json_ms.values()), ratio, goal)
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        delays = [median([c.first_piece_ms(share) for c in paced[t.name]]) for t in three]
        print_row(f"first piece {name}, ms", *(f"{d:.1f}" for d in delays), f"{delays[2] / delays[0]:.1f}", "-")
    show_shares(paced, json_ms)


def show_shares(paced: dict[str, list[Cost]], json_ms: dict[str, float]) -> None:
    """Where a paced stream's cost goes: what any request costs, and the rest, which is its tokens."""
    shares = []
    for name, costs in paced.items():
        stream_ms = median([cost.ms_a_request() for cost in costs])
        shares.append(f"{(stream_ms - json_ms[name]) / TOKENS * 1e3:.1f}")
    print_row("  of paced: us a further token", *shares, f"{float(shares[2]) / float(shares[0]):.2f}", "-")


def show_streams(name: str, costs: dict[str, list[Cost]], figure, goal: float) -> None:
    values = {server: median([figure(cost) for cost in each]) for server, each in costs.items()}
    pairs = zip(costs["chatorch"], costs["relay"], strict=True)
    ratio = median([figure(ours) / figure(floor) for ours, floor in pairs])
    cells = [digits(value) for value in values.values()]
    print_row(name, *cells, f"{ratio:.2f}", f"{goal:g} x relay: {verdict(ratio, goal)}")


async def grow(target: Target, floor: Target, quick: bool) -> None:
    print()
    print_row("live streams at once", "relay", "", "chatorch", "x relay", "KB a stream (goal: 40 + text)")
    for streams in (1, 10, 100, 300) if quick else (1, 10, 100, 300, 1000):
        gap_ms = 20 if streams <= 10 else 200
        load = body(f"mock-{TOKENS}-{gap_ms}", stream=True)
        requests = 5 if streams == 1 else streams
        figures, kb = [], 0.0
        for server in (floor, target):
            idle = await idle_cost(server)
            cost = check(server, await measure(server, load, requests=requests, clients=streams))
            # What the process does anyway, such as looking for work once a second, is no cost of a token.
            cost.cpu_s -= idle.cpu_s / idle.wall_s * cost.wall_s
            figures.append(cost.us_a_token(TOKENS))
            kb = max(cost.peak_kb - idle.peak_kb, 0) / streams
        relay, ours = figures
        memory = f"{kb:.0f}" if streams >= 100 else "-"
        print_row(str(streams), f"{relay:.1f}", "", f"{ours:.1f}", f"{ours / relay:.2f}", memory)


async def idle_cost(target: Target) -> Cost:
    """Of some seconds without a request, after a few that warm up."""
    await measure(target, body("mock-5-0", stream=True), requests=5, clients=5)
    watched, cpu, wall = Cost(), cpu_seconds(target.pid), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    watched.cpu_s, watched.wall_s = cpu_seconds(target.pid) - cpu, time.perf_counter() - wall
    watched.peak_kb = resident_kb(target.pid)
    return watched


def main() -> None:
    options = argparse.ArgumentParser(prog="bench", description=__doc__, epilog=NOTE)
    options.add_argument("--quick", action="store_true", help="one round, up to 300 streams, 1,000 sockets")
    options.add_argument("--only", choices=PARTS, help="one part of it")
    chosen = options.parse_args()
    if chosen.only in (None, "streams"):
        with all_servers() as targets:
            asyncio.run(run(targets, chosen.quick))
    if chosen.only in (None, "stores"):
        with store_servers() as targets:
            asyncio.run(measure_stores(targets, BURST, WHOLE, quick=chosen.quick))
    if chosen.only in (None, "doors"):
        with door_servers(COMPLETIONS.path, MODELS) as (others, ours):
            asyncio.run(measure_doors(others, ours, quick=chosen.quick))
    if chosen.only in (None, "chatkit"):
        with chatkit_servers() as (quickstart, ours):
            asyncio.run(measure_chatkit(quickstart, ours, quick=chosen.quick))
    if chosen.only in (None, "live"):
        with live_servers() as (bare, ours, pair):
            asyncio.run(measure_live(bare, ours, pair, quick=chosen.quick))
    if chosen.only in (None, "agents"):
        with agent_servers() as (floor, others, ours):
            asyncio.run(measure_agents(floor, others, ours, quick=chosen.quick))


async def run(targets: dict[str, Target], quick: bool) -> None:
    await compare(targets, quick)
    await grow(targets["chatorch"], targets["relay"], quick)


if __name__ == "__main__":
    main()
