"""Servers that take turns under the same load, so that each meets the same noise."""

from dataclasses import dataclass

from bench.load import Cost, Target, measure


@dataclass(frozen=True)
class Load:
    """`requests` with this body in all, by `clients` at a time."""

    body: bytes
    requests: int
    clients: int


def check(target: Target, cost: Cost) -> Cost:
    if cost.failures:
        raise SystemExit(f"{target.name}: {cost.failures} of {cost.requests} requests failed")
    return cost


async def rounds(targets: list[Target], load: Load, count: int) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {target.name: [] for target in targets}
    for turn in range(count + 1):
        for target in targets:
            cost = check(target, await measure(target, load.body, requests=load.requests, clients=load.clients))
            if turn:  # the first warms up
                costs[target.name].append(cost)
    return costs
