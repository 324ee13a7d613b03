"""`python -m bench [--quick]`: chatorch beside a bare relay and a tutorial's server, as ratios of CPU in one run.

The machine may be noisy: every figure is the median of rounds in which all servers take turns.
"""

import argparse
import asyncio
import json
from dataclasses import dataclass

from bench.load import Cost, Target, measure, median
from bench.servers import all_servers

TOKENS = 100
QUESTION = {"messages": [{"role": "user", "content": "How do tides work?"}]}


@dataclass(frozen=True)
class Load:
    """`goal` is a ratio to the relay, or milliseconds where `goal_ms`."""

    name: str
    model: str
    stream: bool
    requests: int
    clients: int
    goal: str


def body(model: str, *, stream: bool) -> bytes:
    return json.dumps({**QUESTION, "model": model, "stream": stream}).encode()


def check(target: Target, cost: Cost) -> Cost:
    if cost.failures:
        raise SystemExit(f"{target.name}: {cost.failures} of {cost.requests} requests failed")
    return cost


async def rounds(targets: list[Target], load: Load, count: int) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {target.name: [] for target in targets}
    for turn in range(count + 1):
        for target in targets:
            marker_load = measure(
                target, body(load.model, stream=load.stream), requests=load.requests, clients=load.clients
            )
            cost = check(target, await marker_load)
            if turn:  # the first warms up
                costs[target.name].append(cost)
    return costs


def verdict(value: float, goal: float) -> str:
    return "ok" if value <= goal else f"missed by {(value / goal - 1) * 100:.0f} %"


def print_row(*cells: str) -> None:
    widths = (30, 13, 13, 13, 13, 24)
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)).rstrip())


async def compare(targets: dict[str, Target], quick: bool) -> None:
    count = 1 if quick else 5
    three = [targets["relay"], targets["tutorial"], targets["chatorch"]]
    print_row("load", "relay", "tutorial", "chatorch", "x relay", "goal")
    paced = await rounds(three, Load("paced", f"mock-{TOKENS}-20", True, 80, 40, "2 x relay"), count)
    show_streams("paced, us CPU a token", paced, lambda cost: cost.us_a_token(TOKENS), 2.0)
    burst = await rounds(three, Load("burst", f"mock-{TOKENS}-0", True, 200, 20, "5 x relay"), count)
    show_streams("burst, ms CPU a stream", burst, lambda cost: cost.ms_a_request(), 5.0)
    whole = await rounds(three, Load("json", "mock-9-0", False, 200, 20, "3 ms"), count)
    figures = {name: median([cost.ms_a_request() for cost in costs]) for name, costs in whole.items()}
    ratio = f"{figures['chatorch'] / figures['relay']:.1f}"
    goal = f"3 ms: {verdict(figures['chatorch'], 3.0)}"
    print_row("JSON, ms CPU a request", *(f"{value:.2f}" for value in figures.values()), ratio, goal)
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        delays = [median([c.first_piece_ms(share) for c in paced[t.name]]) for t in three]
        print_row(f"first piece {name}, ms", *(f"{d:.1f}" for d in delays), f"{delays[2] / delays[0]:.1f}", "-")


def show_streams(name: str, costs: dict[str, list[Cost]], figure, goal: float) -> None:
    values = {server: median([figure(cost) for cost in each]) for server, each in costs.items()}
    pairs = zip(costs["chatorch"], costs["relay"], strict=True)
    ratio = median([figure(ours) / figure(floor) for ours, floor in pairs])
    cells = [f"{value:.1f}" if value >= 10 else f"{value:.2f}" for value in values.values()]
    print_row(name, *cells, f"{ratio:.2f}", f"{goal:g} x relay: {verdict(ratio, goal)}")


async def grow(target: Target, quick: bool) -> None:
    print()
    print_row("live streams", "us a token", "KB a stream", "", "", "goal: flat; at most 100 KB + text")
    idle = (await measure(target, body("mock-5-0", stream=True), requests=5, clients=5)).peak_kb
    for streams in (1, 10, 100, 300) if quick else (1, 10, 100, 300, 1000):
        pieces = max(40, 4000 // streams) if streams < 100 else 40
        model = f"mock-{pieces}-{20 if streams < 100 else 200}"
        cost = check(target, await measure(target, body(model, stream=True), requests=streams, clients=streams))
        memory = max(cost.peak_kb - idle, 0) / streams
        print_row(str(streams), f"{cost.us_a_token(pieces):.1f}", f"{memory:.0f}" if streams >= 100 else "-")


def main() -> None:
    options = argparse.ArgumentParser(prog="bench", description=__doc__)
    options.add_argument("--quick", action="store_true", help="one round, up to 300 streams")
    chosen = options.parse_args()
    with all_servers() as targets:
        asyncio.run(run(targets, chosen.quick))


async def run(targets: dict[str, Target], quick: bool) -> None:
    await compare(targets, quick)
    await grow(targets["chatorch"], quick)


if __name__ == "__main__":
    main()
