"""What ChatKit's widget costs its server, beside the server of ChatKit's own quickstart (`bench.quickstart`)."""

import json
import urllib.request

from bench.load import Cost, Target, median
from bench.rounds import Load, rounds
from bench.table import digits, print_row, verdict
from bench.upstream import WORDS

TOKENS = 100
GOAL = 0.5


def asked(model: str) -> bytes:
    """A first message, as the widget sends it. `model` says what the upstream does: see `bench.upstream`."""
    content = [{"type": "input_text", "text": "How do tides work?"}]
    message = {"content": content, "attachments": [], "quoted_text": None, "inference_options": {"model": model}}
    return json.dumps({"type": "threads.create", "params": {"input": message}, "metadata": {}}).encode()


PACED = Load(asked(f"mock-{TOKENS}-20"), 80, 40)
BURST = Load(asked(f"mock-{TOKENS}-0"), 200, 20)
SHORT = Load(asked("mock-1-0"), 200, 20)
LISTED = Load(json.dumps({"type": "threads.list", "params": {"limit": 20}, "metadata": {}}).encode(), 200, 20)


async def measure_chatkit(quickstart: Target, ours: Target, *, quick: bool) -> None:
    for target in (quickstart, ours):
        prove_whole(target)
    print()
    print_row("ChatKit", "quickstart", "", "chatorch", "x quickstart", "goal")
    count = 1 if quick else 5
    both = [quickstart, ours]
    paced = await rounds(both, PACED, count)
    show("paced, us CPU a token", paced, lambda cost: cost.us_a_token(TOKENS), GOAL)
    show("burst, ms CPU a stream", await rounds(both, BURST, count), Cost.ms_a_request, GOAL)
    short = await rounds(both, SHORT, count)
    show("one token, ms CPU a stream", short, Cost.ms_a_request)
    show_further_tokens(paced, short)
    show("20 threads, ms CPU a request", await rounds(both, LISTED, count), Cost.ms_a_request)


def show(name: str, costs: dict[str, list[Cost]], figure, goal: float | None = None) -> None:
    theirs, ours = ([figure(cost) for cost in each] for each in costs.values())
    ratio = median([mine / other for mine, other in zip(ours, theirs, strict=True)])
    wanted = "-" if goal is None else f"{goal:g} x quickstart: {verdict(ratio, goal)}"
    print_row(name, digits(median(theirs)), "", digits(median(ours)), f"{ratio:.2f}", wanted)


def show_further_tokens(paced: dict[str, list[Cost]], short: dict[str, list[Cost]]) -> None:
    """What is left of a paced stream's cost without what any stream costs."""
    whole, fixed = (
        [median([cost.ms_a_request() for cost in each]) for each in some.values()] for some in (paced, short)
    )
    theirs, ours = ((all_of_it - begin) / (TOKENS - 1) * 1e3 for all_of_it, begin in zip(whole, fixed, strict=True))
    print_row("  of paced: us a further token", digits(theirs), "", digits(ours), f"{ours / theirs:.2f}", "-")


def prove_whole(target: Target) -> None:
    """Before anything is measured: what the widget would show is what the upstream said, and stays."""
    headers = dict(line.split(": ", 1) for line in ("content-type: application/json", *target.headers))
    url = f"http://127.0.0.1:{target.port}{target.path}"
    with urllib.request.urlopen(urllib.request.Request(url, asked("mock-30-1"), headers), timeout=30) as answer:
        events = [json.loads(line[6:]) for line in answer if line.startswith(b"data: ")]
    shown = "".join(event["update"].get("delta", "") for event in events if event["type"] == "thread.item.updated")
    kept = [event["item"] for event in events if event["type"] == "thread.item.done"][-1]
    told = "".join(WORDS[:30])
    if not (shown == told == kept["content"][0]["text"]) or any(event["type"] == "error" for event in events):
        raise SystemExit(f"{target.name} told {shown!r}, and ended with {events[-1]}")
