"""What it is doing, for who runs it."""

from chatorch.entrypoints.common.door import Door
from chatorch.entrypoints.metrics.route import router

DOOR = Door(name="metrics", paths=("/metrics",), routes=tuple(router.routes))
