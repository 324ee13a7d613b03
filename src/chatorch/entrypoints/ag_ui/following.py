"""A run's events, with what its encoder needs beside them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from chatorch.domain.model.content import Snapshot
from chatorch.domain.model.errors import NotFound, StoreUnavailable
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.run import SILENCE, Run, RunEvent, Silence, started_event
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.ag_ui.history import around, newest
from chatorch.entrypoints.ag_ui.run_encoder import History, RunEncoder
from chatorch.ports.system import Clock

LOOK_AGAIN_S = 1.0


class Following:
    """Of one run, by one client, which is told of it by `encoder`."""

    def __init__(
        self, runs: Runs, conversations: Conversations, clock: Clock, principal: Principal, encoder: RunEncoder
    ) -> None:
        self._runs = runs
        self._conversations = conversations
        self._clock = clock
        self._principal = principal
        self._encoder = encoder

    async def events(self, run: Run, *, connects: bool) -> AsyncGenerator[RunEvent | Silence]:
        """From the start; of who `connects` what there is as a snapshot, for which the encoder has the history."""
        position = 0
        if connects:
            position = run.base + run.content.tip
            yield started_event(run)
            yield Snapshot(position, run.content)
        async with aclosing(self._runs.events(run, position)) as events:
            async for event in events:
                if type(event) is Snapshot:
                    while (history := await self._history(run)) is None:
                        yield SILENCE
                        await self._clock.sleep(LOOK_AGAIN_S)
                    self._encoder.history = history
                yield event

    async def _history(self, run: Run) -> History | None:
        """None while the store is away."""
        try:
            messages = await newest(self._conversations, self._principal, run.thread_id)
        except NotFound:
            return History()
        except StoreUnavailable:
            return None
        return around(messages, run.message_id)
