"""Runs as clients ask for them."""

from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.exc import IntegrityError

from chatorch.adapters.sql import idempotency, opening
from chatorch.adapters.sql.access import require_sane
from chatorch.adapters.sql.database import Database, Work
from chatorch.adapters.sql.errors import breaks
from chatorch.adapters.sql.rows import SELECT_RUN, to_run
from chatorch.adapters.sql.tables import LIVE, ONE_LIVE_RUN, runs
from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.errors import NotFound, StoreUnavailable, ThreadBusy
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.run import Run
from chatorch.ports.runs import ClientRefTaken, NewRun, OpenedRun, OpenTurn, RunStore

_READ = SELECT_RUN.where(runs.c.id == bindparam("run_id"), runs.c.owner_id == bindparam("owner_id"))
_REQUEST_CANCEL = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"), runs.c.owner_id == bindparam("owner"), LIVE)
    .values(cancel_requested=True)
)
_LIVE_RUN = select(runs.c.id).where(runs.c.thread_id == bindparam("thread_id"), LIVE)
_THREAD_OF = select(runs.c.thread_id).where(runs.c.id == bindparam("run_id"))


class SqlRunStore(RunStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_run(self, new: NewRun, turn: OpenTurn, cap: LiveRunCap | None = None) -> OpenedRun:
        return await self._open(lambda connection: opening.open_run(connection, new, turn, cap), new, turn.thread_id)

    async def reopen_run(self, new: NewRun, retry_of: RunId, cap: LiveRunCap | None = None) -> OpenedRun:
        return await self._open(lambda connection: opening.reopen_run(connection, new, retry_of, cap), new, retry_of)

    async def answer_again(
        self,
        new: NewRun,
        thread_id: ThreadId,
        message_id: MessageId,
        cap: LiveRunCap | None = None,
        *,
        only_newest: bool = False,
    ) -> OpenedRun:
        again = opening.Again(thread_id, message_id, only_newest)
        work = partial(opening.answer_again, new=new, again=again, cap=cap)
        return await self._open(work, new, thread_id)

    async def read_run(self, owner_id: UserId, run_id: RunId) -> Run:
        return await self._database.read(lambda connection: _read(connection, owner_id, run_id))

    async def request_cancel(self, owner_id: UserId, run_id: RunId) -> Run:
        return await self._database.write(
            lambda connection: _request_cancel(connection, owner_id, run_id), owner=owner_id
        )

    async def forget_keys(self, used_before: datetime, limit: int) -> int:
        """Nearly always there is none, and so nothing to write."""
        if not await self._database.read(lambda connection: idempotency.any_used_before(connection, used_before)):
            return 0
        return await self._database.write(lambda connection: idempotency.forget(connection, used_before, limit))

    async def _open(self, work: Work[OpenedRun], new: NewRun, where: ThreadId | RunId) -> OpenedRun:
        try:
            return await self._database.write_alone(work, new.owner_id)
        except IntegrityError as error:
            if breaks(error, "uq_threads_owner_id_client_ref", "threads.owner_id, threads.client_ref"):
                raise ClientRefTaken from None
            if not is_busy(error):
                raise
        # The index is the last guard: whoever got past the checks learns here who was first.
        raise await self._database.read(lambda connection: busy(connection, where))


def is_busy(error: IntegrityError) -> bool:
    """Whether the thread had a live run."""
    return breaks(error, str(ONE_LIVE_RUN.name), "runs.thread_id")


def busy(connection: Connection, where: ThreadId | RunId) -> ThreadBusy | StoreUnavailable:
    thread_id = connection.execute(_THREAD_OF, {"run_id": where}).scalar_one_or_none() or where
    run_id = connection.execute(_LIVE_RUN, {"thread_id": thread_id}).scalar_one_or_none()
    return ThreadBusy(run_id) if run_id is not None else StoreUnavailable("The thread was busy a moment ago.")


def _read(connection: Connection, owner_id: UserId, run_id: RunId) -> Run:
    require_sane(run_id)
    row = connection.execute(_READ, {"run_id": run_id, "owner_id": owner_id}).one_or_none()
    if row is None:
        raise NotFound
    return to_run(row)


def _request_cancel(connection: Connection, owner_id: UserId, run_id: RunId) -> Run:
    require_sane(run_id)
    connection.execute(_REQUEST_CANCEL, {"run_id": run_id, "owner": owner_id})
    return _read(connection, owner_id, run_id)
