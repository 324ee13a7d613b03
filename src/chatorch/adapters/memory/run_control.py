"""For a process that is alone: there is nobody to tell."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping

from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.run import LastContent
from chatorch.ports.run_control import CancelCall, RunControl


class MemoryRunControl(RunControl):
    def cancel(self, call: CancelCall) -> None: ...

    async def cancelled(self) -> AsyncGenerator[CancelCall]:
        await asyncio.Event().wait()
        yield CancelCall(RunId(""))  # never: it makes this a generator

    async def watched(self, run_ids: Collection[RunId]) -> frozenset[RunId]:  # noqa: ARG002
        return frozenset()

    async def last_content(self, run_ids: Collection[RunId]) -> Mapping[RunId, LastContent]:  # noqa: ARG002
        return {}

    def fence(self, run_id: RunId, epoch: int) -> None: ...
