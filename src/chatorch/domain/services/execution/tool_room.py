"""How much of a run's message its calls may take: what they say is a part of it, beside the model's own words."""

from collections.abc import Iterable

from chatorch.domain.model.calls import result_part
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.tools import CallStatus
from chatorch.domain.services.execution.tool_calls import Made, Told, ToolLimits

NO_MORE_ROOM = "This tool was called, but what it said is too much beside what others said before."


class Room:
    """What is left, in code points, beside the `parts` that are there."""

    def __init__(self, limits: ToolLimits, parts: Iterable[Part]) -> None:
        said = {PartKind.TOOL_RESULT: 0, PartKind.DATA: 0}
        for part in parts:
            if part.kind in said:
                said[part.kind] += len(part.body)
        self._results = limits.max_results_chars - said[PartKind.TOOL_RESULT]
        self._progress = limits.max_progress_chars - said[PartKind.DATA]

    def progress(self, told: Told) -> Part | None:
        """None where there is no room: nothing hangs on it."""
        self._progress -= len(told.progress)
        if self._progress < 0:
            return None
        return Part(PartKind.DATA, {"name": told.call.name, "call_id": told.call.id}, told.progress, closed=True)

    def result(self, made: Made) -> Part:
        """What came of it, as long as there is room."""
        said = made.result.content
        self._results -= len(said)
        if self._results < 0 and len(said) > len(NO_MORE_ROOM):
            return result_part(made.call.id, CallStatus.FAILED, NO_MORE_ROOM)
        return result_part(made.call.id, made.result.status, said)
