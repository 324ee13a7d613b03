"""What processes tell each other through: Redis, or, where there is one process, nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from chatorch.adapters.memory.connections import MemoryConnections
from chatorch.adapters.memory.run_control import MemoryRunControl
from chatorch.adapters.memory.run_log import MemoryRunLog
from chatorch.entrypoints.process.lifetime import Component
from chatorch.entrypoints.settings import Settings
from chatorch.ports.connections import Connections
from chatorch.ports.run_control import RunControl
from chatorch.ports.run_log import RunLog

if TYPE_CHECKING:
    from chatorch.adapters.redis.link import RedisLink


@dataclass(frozen=True, slots=True)
class Backplane:
    """What processes tell each other through. `components` are started in this order, and closed in the other one.

    `redis_up` says whether they can now; it is None where there is one process. `redis_problem` names what is wrong,
    and what to do.
    """

    run_log: RunLog
    run_control: RunControl
    connections: Connections
    components: tuple[Component, ...] = ()
    redis_up: Callable[[], bool] | None = None
    redis_problem: Callable[[], str | None] = lambda: None


def choose_backplane(settings: Settings) -> Backplane:
    """Raises `ValueError` with one line that names `REDIS_URL`."""
    local = MemoryRunLog()
    if settings.redis_url is None:
        connections = MemoryConnections(settings.max_connections_per_user)
        return Backplane(local, MemoryRunControl(), connections)
    return _over_redis(settings.redis_url, settings, local)


def _over_redis(url: str, settings: Settings, local: MemoryRunLog) -> Backplane:
    """Imported here: Redis is an extra, and eight megabytes of a process that has none."""
    from chatorch.adapters.redis.connections import RedisConnections  # noqa: PLC0415
    from chatorch.adapters.redis.link import RedisLink  # noqa: PLC0415
    from chatorch.adapters.redis.run_control import RedisRunControl  # noqa: PLC0415
    from chatorch.adapters.redis.run_log import RedisRunLog  # noqa: PLC0415

    link = RedisLink(url, prefix=settings.redis_prefix)
    log, connections = RedisRunLog(local, link), RedisConnections(link, settings.max_connections_per_user)
    components = (link, log, connections)
    return Backplane(
        log, RedisRunControl(link), connections, components, lambda: link.fault is None, partial(_problem, link)
    )


def _problem(link: "RedisLink") -> str | None:
    return str(link.fault) if link.fault else None
