"""Time, chance and concurrency."""

from abc import abstractmethod
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, Protocol


class Clock(Protocol):
    @abstractmethod
    def now(self) -> datetime:
        """Aware UTC, for what is stored and shown."""
        ...

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds, for what is measured; unrelated to `now` and to other processes."""
        ...

    @abstractmethod
    async def sleep(self, seconds: float) -> None: ...


class IdFactory(Protocol):
    @abstractmethod
    def new(self, prefix: str) -> str:
        """``<prefix>_<26 characters>``: time-ordered, with at least 74 random bits."""
        ...


class Spawner(Protocol):
    @abstractmethod
    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Runs it in the background, holds on to it until it ends, and reports it if it fails."""
        ...
