"""How the calls of a message stand, as far as the widget shows it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from chatorch.domain.model.call_answers import Answer
from chatorch.domain.model.calls import LIVE, Standing, offered
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.tools import CallStatus, CarriedOutBy

NOTHING_KEPT: Mapping[str, Answer] = {}


@dataclass(frozen=True, slots=True)
class CallState:
    """`said` is what its tool said, or how it gets on as long as it runs. `asks`: the user's answer is taken now.

    `kept`: what the user said to it, while another call of the message still waits.
    """

    status: CallStatus
    said: str | None = None
    asks: bool = False
    kept: Answer | None = None

    @property
    def settled(self) -> bool:
        return self.status not in (CallStatus.PENDING, CallStatus.RUNNING)


class CallStates:
    """Of one message; `standing` and `kept` are what is known besides its parts.

    A page carries out one call at a time, the last that it is shown, and does not say which it answers. So of the calls
    of client tools only the last one that is open asks.
    """

    def __init__(
        self, parts: Iterable[Part] = (), standing: Standing = LIVE, kept: Mapping[str, Answer] = NOTHING_KEPT
    ) -> None:
        self._answered = dict(standing.answered)
        self._standing = replace(standing, answered=self._answered)
        self._kept = kept
        self._progress: dict[str, str] = {}
        self._clients: dict[str, None] = {}
        for part in parts:
            self.hear(part)

    def hear(self, part: Part) -> str | None:
        """Takes in a part that is whole; says which call it tells something new of, another or itself."""
        if not part.closed:
            return None
        call_id = str(part.head.get("id" if part.kind is PartKind.TOOL_CALL else "call_id", ""))
        match part.kind:
            case PartKind.TOOL_CALL if offered(part) and part.head["by"] == CarriedOutBy.CLIENT:
                self._clients[call_id] = None
            case PartKind.TOOL_RESULT if {"call_id", "status"} <= part.head.keys():
                self._answered[call_id] = part
                return call_id
            case PartKind.DATA if "call_id" in part.head:
                self._progress[call_id] = part.body
                return call_id
        return None

    def now(self, standing: Standing) -> None:
        """The message stands otherwise than it did."""
        self._standing = replace(standing, answered=self._answered)

    def of(self, call: Part) -> CallState:
        call_id = str(call.head.get("id", ""))
        status = self._standing.status_of(call)
        if status is CallStatus.PENDING and not self._standing.live:
            kept = self._kept.get(call_id)
            by_client = call.head["by"] == CarriedOutBy.CLIENT
            asks = kept is None and (not by_client or call_id == self._last_open())
            return CallState(status, asks=asks, kept=kept)
        if status is CallStatus.RUNNING:
            return CallState(status, self._progress.get(call_id))
        result = self._answered.get(call_id)
        return CallState(status, None if result is None else result.body)

    def _last_open(self) -> str | None:
        open_still = (each for each in reversed(self._clients) if each not in self._answered and each not in self._kept)
        return next(open_still, None)
