"""uvicorn's server, which obeys a signal also before it serves."""

import signal
from contextlib import suppress
from types import FrameType

import structlog
import uvicorn

from chatorch.entrypoints.process.stopping import leave

log = structlog.get_logger(__name__)


class StoppableServer(uvicorn.Server):
    """uvicorn's own only makes a note of it until the application has started: for as long as a migration takes, or a
    database lets it wait."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self._application_started():
            with suppress(Exception):  # it may have interrupted another line
                log.info("stopped", signal=signal.Signals(sig).name, reason="asked to before it served")
            leave(sig)
        super().handle_exit(sig, frame)

    def _application_started(self) -> bool:
        lifespan = getattr(self, "lifespan", None)  # made after the application is imported
        return lifespan is not None and lifespan.startup_event.is_set()
