"""What a token costs through each door, beside our own server-sent events, and beside others' chat completions.

Those are of a bare relay, a tutorial's server and LiteLLM's proxy, in front of the same upstream, in turn with ours.
"""

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.load import ANEW, Cost, Target, measure, median
from bench.rounds import check
from bench.table import digits, print_row, verdict
from bench.upstream import WORDS

TOKENS = 100
PACED, BURST, SHORT = MODELS = (f"mock-{TOKENS}-20", f"mock-{TOKENS}-0", "mock-9-0")
QUESTION = "How do tides work?"


@dataclass(frozen=True)
class Door:
    """`asked` makes a body for a model (see `bench.upstream`); `goal` is in costs of our own events."""

    name: str
    path: str
    asked: Callable[[str], dict]
    goal: float | None = None


Asked = list[tuple[Target, Door]]


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
COMPLETIONS = Door("chat completions", "/v1/chat/completions", _plain, 1.3)
DOORS = (
    OURS,
    COMPLETIONS,
    Door("Responses", "/v1/responses", lambda model: {"model": model, "input": QUESTION, "stream": True}, 1.6),
    Door("AI SDK", "/api/ai-sdk", _ai_sdk, 1.3),
    Door("AG-UI", "/api/ag-ui", _ag_ui, 1.3),
)


async def measure_doors(others: list[Target], chatorch: Target, *, quick: bool) -> None:
    """`chatorch` is asked through each of its doors in turn, and `others` for chat completions."""
    # "tok" alone is in names of fields too, and a space before it may have gone out with the piece before
    asked = [(replace(each, marker=b"tok0"), COMPLETIONS) for each in others]
    asked += [(replace(chatorch, name=door.name, path=door.path, marker=b"tok0"), door) for door in DOORS]
    for target, door in asked:
        if door is COMPLETIONS:
            prove_whole(target)
    count = 1 if quick else 5
    print()
    print_row("doors", "us a token", "x relay", "x our own", "x completions", "goal")
    paced = await _in_turns(asked, PACED, 80, 40, count)
    _show("paced", paced, lambda cost: cost.us_a_token(TOKENS), goals=True)
    print_row("", "ms a stream")
    _show("burst", await _in_turns(asked, BURST, 200, 20, count), Cost.ms_a_request, goals=True)
    print_row("", "ms a request")
    may_be_whole = [(target, door) for target, door in asked if "stream" in door.asked(SHORT)]
    _show("JSON", await _in_turns(may_be_whole, SHORT, 200, 20, count, stream=False), Cost.ms_a_request)
    print_row("", "p50, ms")
    _show("first piece", paced, lambda cost: cost.first_piece_ms(0.5))


async def _in_turns(
    asked: Asked, model: str, requests: int, clients: int, count: int, **more: object
) -> dict[str, list[Cost]]:
    """`more` is added to each body."""
    costs: dict[str, list[Cost]] = {target.name: [] for target, _ in asked}
    for turn in range(count + 1):
        for target, door in asked:
            body = json.dumps({**door.asked(model), **more}).encode()
            cost = check(target, await measure(target, body, requests=requests, clients=clients))
            if turn:  # the first warms up
                costs[target.name].append(cost)
    return costs


def _show(load: str, costs: dict[str, list[Cost]], figure: Callable[[Cost], float], *, goals: bool = False) -> None:
    figures = {name: [figure(cost) for cost in each] for name, each in costs.items()}
    wanted = {door.name: door.goal for door in DOORS if goals}

    def times(name: str, other: str) -> float:
        return median([mine / theirs for mine, theirs in zip(figures[name], figures[other], strict=True)])

    for name, values in figures.items():
        goal = wanted.get(name)
        told = "-" if goal is None else f"{goal:g} x our own: {verdict(times(name, OURS.name), goal)}"
        ratios = (f"{times(name, other):.2f}" for other in ("relay", OURS.name, COMPLETIONS.name))
        print_row(f"{load}, {name}", digits(median(values)), *ratios, told)


def prove_whole(target: Target) -> None:
    """Before anything is measured: a client of chat completions gets what the upstream said, in a stream and whole."""
    told = "".join(WORDS[:9])
    pieces = []
    for line in _answer(target, stream=True).splitlines():
        if line.startswith(b"data: {"):
            pieces += [choice["delta"].get("content") or "" for choice in json.loads(line[6:])["choices"]]
    whole = json.loads(_answer(target, stream=False))["choices"][0]["message"]["content"]
    if not ("".join(pieces) == whole == told):
        raise SystemExit(f"{target.name} streamed {pieces}, and answered {whole!r}")


def _answer(target: Target, *, stream: bool) -> bytes:
    body = json.dumps({**COMPLETIONS.asked(SHORT), "stream": stream}).encode()
    headers = dict(line.split(": ", 1) for line in ("content-type: application/json", *target.headers))
    url = f"http://127.0.0.1:{target.port}{target.path}"
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
        return answer.read()
