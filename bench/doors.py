"""What a token costs through each door, beside our own server-sent events, a bare relay, and a tutorial's server."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.load import ANEW, Cost, Target, measure, median
from bench.rounds import check
from bench.table import digits, print_row, verdict

TOKENS = 100
QUESTION = "How do tides work?"


@dataclass(frozen=True)
class Door:
    """`asked` makes a body for a model (see `bench.upstream`); `goal` is in costs of our own events."""

    name: str
    path: str
    asked: Callable[[str], dict]
    goal: float | None = None


def _plain(model: str) -> dict:
    return {"model": model, "messages": [{"role": "user", "content": QUESTION}], "stream": True}


def _ai_sdk(model: str) -> dict:
    said = {"id": ANEW, "role": "user", "parts": [{"type": "text", "text": QUESTION}]}
    return {"id": ANEW, "messages": [said], "trigger": "submit-message", "model": model}


def _ag_ui(model: str) -> dict:
    said = {"id": ANEW, "role": "user", "content": QUESTION}
    empty = {"tools": [], "context": [], "state": {}}
    return {"threadId": ANEW, "runId": ANEW, "messages": [said], "forwardedProps": {"model": model}, **empty}


OURS = Door("our own", "/api/chat/protected", _plain)
DOORS = (
    OURS,
    Door("chat completions", "/v1/chat/completions", _plain, 1.3),
    Door("Responses", "/v1/responses", lambda model: {"model": model, "input": QUESTION, "stream": True}, 1.6),
    Door("AI SDK", "/api/ai-sdk", _ai_sdk, 1.3),
    Door("AG-UI", "/api/ag-ui", _ag_ui, 1.3),
)


async def measure_doors(relay: Target, tutorial: Target, chatorch: Target, *, quick: bool) -> None:
    """`chatorch` is asked through each of its doors in turn, and the others for the same answers."""
    others = [(each, OURS) for each in (relay, tutorial)]
    ours = [(replace(chatorch, name=door.name, path=door.path), door) for door in DOORS]
    print()
    print_row("doors", "", "us a token", "x relay", "x our own", "goal")
    paced = await _in_turns([*others, *ours], f"mock-{TOKENS}-20", 80, 40, 1 if quick else 5)
    _show("paced", paced, lambda cost: cost.us_a_token(TOKENS))
    print_row("", "", "ms a stream")
    burst = await _in_turns([*others, *ours], f"mock-{TOKENS}-0", 200, 20, 1 if quick else 5)
    _show("burst", burst, lambda cost: cost.ms_a_request())


async def _in_turns(
    asked: list[tuple[Target, Door]], model: str, requests: int, clients: int, count: int
) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {target.name: [] for target, _ in asked}
    for turn in range(count + 1):
        for target, door in asked:
            body = json.dumps(door.asked(model)).encode()
            cost = check(target, await measure(target, body, requests=requests, clients=clients))
            if turn:  # the first warms up
                costs[target.name].append(cost)
    return costs


def _show(load: str, costs: dict[str, list[Cost]], figure: Callable[[Cost], float]) -> None:
    figures = {name: [figure(cost) for cost in each] for name, each in costs.items()}
    goals = {door.name: door.goal for door in DOORS}

    def times(name: str, other: str) -> float:
        return median([mine / theirs for mine, theirs in zip(figures[name], figures[other], strict=True)])

    for name, values in figures.items():
        ratio, goal = times(name, OURS.name), goals.get(name)
        wanted = "-" if goal is None else f"{goal:g} x our own: {verdict(ratio, goal)}"
        cells = (digits(median(values)), f"{times(name, 'relay'):.2f}", f"{ratio:.2f}")
        print_row(f"{load}, {name}", "", *cells, wanted)
