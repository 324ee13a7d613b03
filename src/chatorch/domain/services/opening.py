"""From a run that is asked for to one that is carried out: admitted, stored, begun, told."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass

from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.calls import ids_in_turn, open_calls
from chatorch.domain.model.context import ContextWindow
from chatorch.domain.model.going_on import upto_kept
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.presence import ClientId, RunBegan
from chatorch.domain.model.run import Run, started_event
from chatorch.domain.services.admission import Admission, Admitted
from chatorch.domain.services.execution.executor import Executor
from chatorch.ports.admission import RunRequest
from chatorch.ports.chat_model import Prompt, Turn
from chatorch.ports.connections import Connections
from chatorch.ports.runs import OpenedRun


@dataclass(frozen=True, slots=True)
class Opening:
    """A run that is asked for: how it is stored, and what becomes of it then.

    `announced`: the user's other devices are told, all but `client_id`.
    """

    request: RunRequest
    store: Callable[[LiveRunCap | None], Awaitable[OpenedRun]]
    client_id: ClientId | None = None
    announced: bool = True


class Opener:
    def __init__(
        self, *, executor: Executor, admission: Admission, context: ContextWindow, connections: Connections
    ) -> None:
        self._executor = executor
        self._admission = admission
        self._context = context
        self._connections = connections

    async def open(self, principal: Principal, opening: Opening) -> Run:
        """The run that was opened, or that was there under its idempotency key. Raises what admission and store do, and
        `Draining`.

        Shielded: a caller that goes away between the commit and the start must not leave a run nobody executes.
        """
        with self._executor.opening() as counted:
            admitted = await self._admission.admit(principal, opening.request)
            begins = counted.pop_all()
        return await asyncio.shield(self._store_and_begin(principal, opening, admitted, begins))

    async def _store_and_begin(
        self, principal: Principal, opening: Opening, admitted: Admitted, counted: ExitStack
    ) -> Run:
        with counted, admitted.place as place:
            opened = await opening.store(admitted.cap)
            if not opened.joined:
                self._begin(principal, opening, opened, place.pop_all())
        return opened.run

    def _begin(self, principal: Principal, opening: Opening, opened: OpenedRun, place: ExitStack) -> None:
        run = opened.run
        messages = self._context.select(upto_kept(opened.history, opened.kept), run.generation.instructions)
        calls, ids = tuple(open_calls(opened.history)), ids_in_turn(opened.history)
        turn = Turn(principal, run.thread_id, run.id, calls, call_ids=ids)
        prompt = Prompt(run.model, messages, principal.user_id, run.generation, turn=turn)
        self._executor.begin(run, prompt, principal, place=place)
        if opening.announced:
            self._connections.send(run.owner_id, RunBegan(run.id, started_event(run)), besides=opening.client_id)
