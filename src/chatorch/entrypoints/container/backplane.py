"""What processes tell each other through: Redis, or, where there is one process, nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from chatorch.adapters.memory.connections import MemoryConnections
from chatorch.adapters.memory.noticeboard import MemoryNoticeboard
from chatorch.adapters.memory.run_control import MemoryRunControl
from chatorch.adapters.memory.run_log import MemoryRunLog
from chatorch.adapters.redis.connections import RedisConnections
from chatorch.adapters.redis.link import RedisLink
from chatorch.adapters.redis.noticeboard import RedisNoticeboard
from chatorch.adapters.redis.run_control import RedisRunControl
from chatorch.adapters.redis.run_log import RedisRunLog
from chatorch.entrypoints.metrics.fleet import server_name
from chatorch.entrypoints.process.lifetime import Part
from chatorch.entrypoints.settings import Settings
from chatorch.ports.connections import Connections
from chatorch.ports.noticeboard import Noticeboard
from chatorch.ports.run_control import RunControl
from chatorch.ports.run_log import RunLog


@dataclass(frozen=True, slots=True)
class Backplane:
    """What processes tell each other through. `parts` are started in this order, and closed in the other one.

    `redis_up` says whether they can now; it is None where there is one process. `redis_problem` names what is wrong,
    and what to do.
    """

    run_log: RunLog
    run_control: RunControl
    connections: Connections
    noticeboard: Noticeboard
    parts: tuple[Part, ...] = ()
    redis_up: Callable[[], bool] | None = None
    redis_problem: Callable[[], str | None] = lambda: None


def choose_backplane(settings: Settings) -> Backplane:
    """Raises `ValueError` with one line that names `REDIS_URL`."""
    local, most = MemoryRunLog(), settings.max_connections_per_user
    if settings.redis_url is None:
        return Backplane(local, MemoryRunControl(), MemoryConnections(most), MemoryNoticeboard())
    link = RedisLink(settings.redis_url, prefix=settings.redis_prefix)
    log, connections = RedisRunLog(local, link), RedisConnections(link, most)
    parts = (link, log, connections)
    board = RedisNoticeboard(link, server_name())
    return Backplane(
        log, RedisRunControl(link), connections, board, parts, lambda: link.fault is None, partial(_problem, link)
    )


def _problem(link: RedisLink) -> str | None:
    return str(link.fault) if link.fault else None
