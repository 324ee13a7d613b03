"""What whoever asks for the metrics is told."""

import asyncio
from functools import partial

from chatorch.entrypoints.metrics.kept import Kept
from chatorch.entrypoints.metrics.metrics import Metrics
from chatorch.ports.system import Clock

SAMPLED_EVERY_S = 1.0
KEPT_S = 1.0


class Scrapes:
    """`text` and `figures` are what `as_text` and `as_dict` make, each made once in `kept_s` seconds, in a thread:
    the files of many workers take some 20 ms.

    Each worker keeps its own, so for who asks several of them more often than that a count may fall.
    """

    def __init__(self, metrics: Metrics, clock: Clock, kept_s: float = KEPT_S) -> None:
        self.text = Kept(partial(asyncio.to_thread, metrics.as_text), clock, kept_s)
        self.figures = Kept(partial(asyncio.to_thread, metrics.as_dict), clock, kept_s)
        self._metrics = metrics
        self._clock = clock

    async def keep_sampled(self) -> None:
        """For ever: writes down once a second what the other workers of this server cannot look up."""
        while True:
            self._metrics.sample()
            await self._clock.sleep(SAMPLED_EVERY_S)
