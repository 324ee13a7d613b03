"""What doors and middleware count, whoever keeps the figures."""

from contextlib import AbstractContextManager
from typing import Protocol


class Counters(Protocol):
    def request_done(self, route: str, method: str, status: int, duration_s: float) -> None:
        """A request was answered. `route` is its template, never a path."""
        ...

    def connection_refused(self, reason: str) -> None:
        """A connection was not taken."""
        ...

    def connection(self) -> AbstractContextManager[object]:
        """Held while somebody follows: an event stream, or a WebSocket."""
        ...
