"""Whether Redis is there and does what it is asked, and the lines of the log about it: each thing once a minute."""

import time

import structlog

from chatorch.adapters.redis.faults import CONNECTING, Cure, Fault, code_of

REMIND_S = 60.0
STEADY_S = 10.0
"""One that goes and comes quicker than this is told of as seldom as one that is away."""

log = structlog.get_logger(__name__)


class RedisHealth:
    """`away` says why it is not there, `refusal` what it refuses though it is."""

    def __init__(self, remind_s: float = REMIND_S) -> None:
        self.away: Fault | None = CONNECTING
        self.refusal: Fault | None = None
        self._remind_s = remind_s
        self._told_at: dict[str, float] = {}
        self._loss_told = False
        self._since = 0.0

    @property
    def fault(self) -> Fault | None:
        return self.away or self.refusal

    def came(self) -> None:
        if self._loss_told:
            log.info("redis_back")
        self._loss_told = False
        self.away = None
        self._since = time.monotonic()

    def went(self, fault: Fault, *, quiet: bool = False) -> None:
        """Of the ways in which it does not answer, the first is told: the others follow from it."""
        known, self.away, self.refusal = self.away, fault, None
        if quiet:
            return
        steady = known is None and time.monotonic() - self._since >= STEADY_S
        follows = self._loss_told and _passes(fault) and known is not None and _passes(known)
        if steady or self._is_due("lost" if follows else f"lost {fault.name}"):
            self._tell(f"lost {fault.name}", "lost")
            self._loss_told = True
            log.warning("redis_lost", code=fault.name, reason=str(fault))

    def refuses(self, fault: Fault, error: Exception) -> None:
        """Redis is there. What says nothing about it, but is a mistake of ours, is told as well."""
        if fault.refuses:
            self.refusal = fault
        code = fault.name if fault.refuses else code_of(error)
        what = str(fault) if fault.refuses else code  # a right may be named later than it is missed
        if self._is_due(what):
            self._tell(what)
            log.warning("redis_refuses", code=code, **({"reason": str(fault)} if fault.refuses else {}))

    def obeys(self) -> None:
        if self.refusal is not None:
            log.info("redis_obeys", code=self.refusal.name)
            forgotten = f"{self.refusal.name}:"
            self._told_at = {what: at for what, at in self._told_at.items() if not what.startswith(forgotten)}
            self.refusal = None

    def _is_due(self, what: str) -> bool:
        told_at = self._told_at.get(what)
        return told_at is None or time.monotonic() - told_at >= self._remind_s

    def _tell(self, *what: str) -> None:
        self._told_at |= dict.fromkeys(what, time.monotonic())


def _passes(fault: Fault) -> bool:
    return fault.cure is Cure.WAIT and not fault.refuses
