"""What a stored answer costs on SQLite and on PostgreSQL, beside the bare relay. PostgreSQL's own CPU is not in it."""

from bench.load import Cost, Target, median
from bench.rounds import Load, rounds
from bench.table import digits, print_row, verdict

BURST_GOALS_MS = (None, 2.0)
JSON_GOALS_MS = (1.2, 1.6)


async def measure_stores(targets: list[Target], burst: Load, whole: Load, *, quick: bool) -> None:
    """`targets` are the relay, chatorch on SQLite, and chatorch on PostgreSQL."""
    count = 1 if quick else 5
    print()
    print_row("stores", "relay", "SQLite", "PostgreSQL", "x SQLite", "goal")
    show("burst, ms CPU a stream", await rounds(targets, burst, count), BURST_GOALS_MS)
    show("JSON, ms CPU a request", await rounds(targets, whole, count), JSON_GOALS_MS)


def show(name: str, costs: dict[str, list[Cost]], goals: tuple[float | None, ...]) -> None:
    relay, sqlite, postgres = ([cost.ms_a_request() for cost in each] for each in costs.values())
    ratio = median([mine / other for mine, other in zip(postgres, sqlite, strict=True)])
    figures = [median(each) for each in (relay, sqlite, postgres)]
    told = [f"{goal:g} ms: {verdict(ms, goal)}" for ms, goal in zip(figures[1:], goals, strict=True) if goal]
    print_row(name, *map(digits, figures), f"{ratio:.2f}", ", ".join(told))
