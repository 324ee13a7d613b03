"""Rates, quotas and caps: asked before a run is opened."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.identity import Principal
from chatorch.ports.admission import AdmissionRule, RunRequest


@dataclass(frozen=True, slots=True)
class Admitted:
    """A place for a run, kept until it is closed, and the cap that its store has to hold, if any."""

    place: ExitStack
    cap: LiveRunCap | None


class Admission:
    """Who may open a run now: whom all `rules` let in, which are asked in their order."""

    def __init__(self, rules: Sequence[AdmissionRule]) -> None:
        self._rules = tuple(rules)

    async def admit(self, principal: Principal, request: RunRequest) -> Admitted:
        """Raises `TooMany` and `Unavailable`; what the rules before had taken is given back then."""
        with ExitStack() as place:
            caps = [await rule.admit(principal, request, place) for rule in self._rules]
            least = min((cap for cap in caps if cap is not None), key=lambda cap: cap.most, default=None)
            return Admitted(place.pop_all(), least)


class UserCap(AdmissionRule):
    """So many live runs a user, in all processes together."""

    def __init__(self, most: int) -> None:
        self._cap = LiveRunCap(most)

    async def admit(self, principal: Principal, request: RunRequest, place: ExitStack) -> LiveRunCap | None:  # noqa: ARG002
        """Of a guest, who has one run and another id for the next, there is nothing to count."""
        return None if principal.guest else self._cap
