"""The figures as JSON, described."""

from typing import Literal

from chatorch.entrypoints.common.fields import Described


class MetricsOut(Described):
    """Figures of the server that answers, of all its workers; `uptime` is of the one that answers.

    `redis_up` is there only with ``REDIS_URL``, and 0 where one of the workers misses it.
    """

    active_connections: int
    total_messages_processed: int
    uptime: float
    live_runs: int
    db_pool_in_use: int
    db_pool_size: int
    loop_lag_seconds: float
    redis_up: Literal[0, 1] | None = None
