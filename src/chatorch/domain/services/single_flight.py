"""Work that goes on when its callers leave, and is done once for all who ask for it at the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chatorch.domain.model.errors import Draining
from chatorch.ports.system import Spawner

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    landed: asyncio.Future[T]
    aboard: int = 0


class SingleFlight(Generic[T]):
    """`nobody_waits` is awaited with a result that every caller left before it came."""

    def __init__(self, spawner: Spawner, nobody_waits: Callable[[T], Coroutine[Any, Any, None]]) -> None:
        self._spawner = spawner
        self._nobody_waits = nobody_waits
        self._under_way: dict[str, _Flight[T]] = {}

    async def join(self, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `work`, or of the one under way with this key. Raises what it raises."""
        flight = self._under_way.get(key)
        if flight is None:
            flight = self._under_way[key] = _Flight(asyncio.get_running_loop().create_future())
            self._spawner.spawn(self._carry_out(key, flight, work()), f"chatkit {key}")
        flight.aboard += 1
        try:
            return await asyncio.shield(flight.landed)
        except asyncio.CancelledError:
            flight.aboard -= 1
            landed = flight.landed
            if not flight.aboard and landed.done() and landed.exception() is None:
                # It came in the very moment in which the last caller left.
                self._spawner.spawn(self._nobody_waits(landed.result()), f"chatkit {key}")
            raise

    async def _carry_out(self, key: str, flight: _Flight[T], work: Coroutine[Any, Any, T]) -> None:
        try:
            result = await work
        except asyncio.CancelledError:
            self._land(key, flight, error=Draining())
            raise
        except Exception as error:
            self._land(key, flight, error=error)
            return
        waited_for = flight.aboard > 0
        self._under_way.pop(key)
        flight.landed.set_result(result)
        if not waited_for:
            await self._nobody_waits(result)

    def _land(self, key: str, flight: _Flight[T], error: Exception) -> None:
        self._under_way.pop(key)
        flight.landed.set_exception(error)
        flight.landed.exception()  # told to those who wait, and to nobody else
