"""Counts of what happened, for who embeds the domain, and for tests. Faults go to the standard library's log."""

import logging
from collections import Counter

from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import Run, RunStatus
from chatorch.domain.model.tools import ToolUse
from chatorch.ports.execution_store import RunEnd
from chatorch.ports.telemetry import ModelTelemetry, RunTelemetry, ToolTelemetry

_logger = logging.getLogger(__name__)


class MemoryTelemetry(RunTelemetry, ModelTelemetry, ToolTelemetry):
    """`counts` has what happened since the beginning, by name.

    ``started``, ``lost``, ``taken_over``, ``pieces`` and ``dropped`` are of runs, pieces and payloads; how a run ended
    goes by its status (``completed``); a call by its tool and status (``tool.search.completed``); faults and outages go
    by what was being done (``failed.run``, ``unavailable.checkpoint``).
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def started(self, run: Run) -> None:  # noqa: ARG002
        self.counts["started"] += 1

    def ended(self, run: Run, end: RunEnd, pieces: int) -> None:  # noqa: ARG002
        self.counts[end.outcome.status.value] += 1
        self.counts["pieces"] += pieces

    def lost(self, run: Run) -> None:  # noqa: ARG002
        self.counts["lost"] += 1

    def interrupted(self, count: int, reason: str) -> None:  # noqa: ARG002
        self.counts[RunStatus.INTERRUPTED.value] += count

    def taken_over(self, run: Run) -> None:  # noqa: ARG002
        self.counts["taken_over"] += 1

    def called(self, use: ToolUse, cause: BaseException | None) -> None:  # noqa: ARG002
        self.counts[f"tool.{use.name}.{use.status.value}"] += 1

    def dropped(self, payloads: int) -> None:
        self.counts["dropped"] += payloads

    def failed(self, what: str, error: BaseException) -> None:
        self.counts[f"failed.{what}"] += 1
        _logger.error("%s failed: %s", what, type(error).__qualname__)  # its message may repeat what a user wrote

    def store_unavailable(self, what: str, error: StoreUnavailable) -> None:
        self.counts[f"unavailable.{what}"] += 1
        _logger.warning("%s could not be written: %s", what, error)
