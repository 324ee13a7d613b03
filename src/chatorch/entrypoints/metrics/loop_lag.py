"""How late the event loop is."""

from collections.abc import Callable

from chatorch.ports.system import Clock


async def sample_loop_lag(clock: Clock, record: Callable[[float], None], interval_s: float = 0.25) -> None:
    """For ever: sleeps `interval_s` and records by how many seconds the loop woke it too late. Cancel to end it."""
    while True:
        asleep_since = clock.monotonic()
        await clock.sleep(interval_s)
        record(max(clock.monotonic() - asleep_since - interval_s, 0.0))
