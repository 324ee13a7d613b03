"""How much a fault test does."""

import os

SOAK = os.environ.get("CHATORCH_SOAK") == "1"


def size(quick: int, full: int) -> int:
    """Rounds, streams or frames: `quick` in every run of the tests, `full` in `make soak` (``CHATORCH_SOAK=1``)."""
    return full if SOAK else quick
