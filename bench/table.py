"""The table that is printed."""

WIDTHS = (30, 13, 13, 13, 13, 24)


def verdict(value: float, goal: float) -> str:
    return "ok" if value <= goal else f"missed by {(value / goal - 1) * 100:.0f} %"


def digits(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def print_row(*cells: str) -> None:
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=False)).rstrip(), flush=True)
