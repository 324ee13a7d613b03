"""The ledger of ChatKit sessions. A row is held while a function of the domain says what becomes of it."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, insert, not_, or_, select, update

from chatorch.adapters.sql.access import lock_owner, require_sane
from chatorch.adapters.sql.columns import UtcTime
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.rows import AnyRow, Values
from chatorch.adapters.sql.tables import chatkit_sessions, users
from chatorch.domain.model.chatkit_hosted.errors import SessionGone
from chatorch.domain.model.chatkit_hosted.session import (
    KEPT,
    OPENING_LIMIT,
    OVER,
    RATE_WINDOW,
    ClientSession,
    IssuedSession,
    SessionId,
    SessionStatus,
    activated,
    replaced,
    revoked,
    room_for,
    settled,
    tidied,
)
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.identity import UserId
from chatorch.ports.chatkit_hosted.session_store import Activation, Begun, ChatKitSessionStore

BATCH = 200
"""How many rows a sweep takes at once; the next one takes the rest."""

SELECT_SESSION = select(chatkit_sessions)

_COLUMNS = chatkit_sessions.c
_ACCESS_LOST = (
    select(users.c.id)
    .where(users.c.id == _COLUMNS.user_id, or_(users.c.disabled, users.c.generation != _COLUMNS.generation))
    .exists()
)


def _at(name: str) -> Any:
    return bindparam(name, type_=UtcTime)


def _is(*statuses: SessionStatus) -> ColumnElement[bool]:
    return _COLUMNS.status.in_([status.value for status in statuses])


_DUE = or_(
    and_(_is(SessionStatus.OPENING), _COLUMNS.created_at <= _at("left_before")),
    and_(_is(SessionStatus.ACTIVE, SessionStatus.CANCELLING, SessionStatus.LOST), _COLUMNS.expires_at <= _at("now")),
    and_(_is(SessionStatus.CANCELLING), _COLUMNS.upstream_id.is_not(None), _COLUMNS.retry_at <= _at("now")),
    and_(_is(SessionStatus.ACTIVE), _ACCESS_LOST),
    and_(_is(*OVER), _COLUMNS.expires_at <= _at("kept_since")),
)
"""No less than what `tidied` changes."""

_READ = SELECT_SESSION.where(_COLUMNS.id == bindparam("session_id"))
_HOLD = _READ.with_for_update()
_FIND = (
    SELECT_SESSION.where(_COLUMNS.user_id == bindparam("user_id"), _COLUMNS.secret_hash == bindparam("hash"))
    .order_by(_COLUMNS.created_at.desc(), _COLUMNS.id.desc())
    .limit(1)
)
_OF_USER = SELECT_SESSION.where(_COLUMNS.user_id == bindparam("user_id"))
_HOLD_ONE_OF = _OF_USER.where(_COLUMNS.id == bindparam("session_id")).with_for_update()
_HOLD_ALL_OF = _OF_USER.where(or_(_COLUMNS.refreshable, not_(_is(*OVER)))).order_by(_COLUMNS.id).with_for_update()
_HOLD_LIVE_OF = _OF_USER.where(_is(SessionStatus.OPENING, SessionStatus.ACTIVE)).order_by(_COLUMNS.id).with_for_update()
# All statuses, so that the index serves by user and time.
_LATEST_OF = select(_COLUMNS.created_at).where(
    _COLUMNS.user_id == bindparam("user_id"),
    _is(*SessionStatus),
    _COLUMNS.created_at.between(_at("since"), _at("until")),
)
_ANY_DUE = select(_COLUMNS.id).where(_DUE).limit(1)
# Rows that somebody else holds are somebody else's to change: a sweep waits for nobody, so blocks nobody.
_HOLD_DUE = (
    select(chatkit_sessions, _ACCESS_LOST.label("access_lost"))
    .where(_DUE)
    .limit(BATCH)
    .with_for_update(of=chatkit_sessions, skip_locked=True)
)
_ADD = insert(chatkit_sessions)
_CHANGE = update(chatkit_sessions).where(_COLUMNS.id == bindparam("session_id"))
_FORGET = delete(chatkit_sessions).where(_COLUMNS.id == bindparam("session_id"))


class SqlChatKitSessionStore(ChatKitSessionStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, session: ClientSession, replaces: SessionId | None = None, *, limit: int | None = None
    ) -> Begun:
        return await self._database.write(
            lambda connection: _begin(connection, session, replaces, limit), owner=session.user_id
        )

    async def activate(
        self,
        session_id: SessionId,
        issued: IssuedSession,
        now: datetime,
        replaces: SessionId | None = None,
        *,
        sealed_secret: str | None = None,
    ) -> Activation:
        return await self._database.write(
            lambda connection: _activate(connection, session_id, issued, now, replaces, sealed_secret)
        )

    async def settle(self, session_id: SessionId, status: SessionStatus) -> None:
        await self._database.write(lambda connection: _settle(connection, session_id, status))

    async def find(self, user_id: UserId, secret_hash: str) -> ClientSession | None:
        values = {"user_id": user_id, "hash": secret_hash}
        row = await self._database.read(lambda connection: connection.execute(_FIND, values).one_or_none())
        return None if row is None else to_session(row)

    async def revoke(
        self, user_id: UserId, session_id: SessionId | None, now: datetime, *, unless_shared: bool = False
    ) -> tuple[ClientSession, ...]:
        return await self._database.write(
            lambda connection: _revoke(connection, user_id, session_id, now, unless_shared), owner=user_id
        )

    async def sweep(self, now: datetime) -> tuple[ClientSession, ...]:
        """Nearly always there is nothing to do, and so nothing to lock."""
        times = {"now": now, "left_before": now - OPENING_LIMIT, "kept_since": now - KEPT}
        if await self._database.read(lambda connection: connection.execute(_ANY_DUE, times).first()) is None:
            return ()
        return await self._database.write(lambda connection: _sweep(connection, now, times))


def _begin(connection: Connection, session: ClientSession, replaces: SessionId | None, limit: int | None) -> Begun:
    lock_owner(connection, session.user_id)
    before = _held(connection, replaces) if replaces is not None else None
    if replaces is not None and (before is None or not before.refreshable):
        raise SessionGone
    after = _held(connection, before.replaced_by) if before and before.replaced_by else None
    if after is not None and after.joinable:
        return Begun(_changed(connection, after, replace(after, shared=True)), joined=True)
    ended = _make_room(connection, session, replaces, limit) if limit is not None else ()
    connection.execute(_ADD, session_values(session))
    if before is not None:
        _changed(connection, before, replace(before, replaced_by=session.id))
    return Begun(session, ended=ended)


def _make_room(
    connection: Connection, session: ClientSession, replaces: SessionId | None, limit: int
) -> tuple[ClientSession, ...]:
    user, now = session.user_id, session.created_at
    times = {"user_id": user, "since": now - RATE_WINDOW, "until": now + RATE_WINDOW}
    latest = connection.execute(_LATEST_OF, times).scalars().all()
    held = {one.id: one for one in map(to_session, connection.execute(_HOLD_LIVE_OF, {"user_id": user}))}
    ended = room_for(session, [one for one in held.values() if one.id != replaces], latest, limit)
    for one in ended:
        _changed(connection, held[one.id], one)
    return tuple(one for one in ended if one.to_be_cancelled(now))


def _activate(
    connection: Connection,
    session_id: SessionId,
    issued: IssuedSession,
    now: datetime,
    replaces: SessionId | None,
    sealed_secret: str | None,
) -> Activation:
    found = connection.execute(_READ, {"session_id": session_id}).one_or_none()
    if found is None:
        raise NotFound
    lock_owner(connection, UserId(found.user_id))
    session = _held(connection, session_id)
    if session is None:
        raise NotFound
    before = _held(connection, replaces) if replaces is not None else None
    now_active = activated(session, issued, now, replaces=before, sealed_secret=sealed_secret)
    session = _changed(connection, session, now_active)
    if session.status is not SessionStatus.ACTIVE or before is None:
        return Activation(session)
    after = _changed(connection, before, replaced(before, now))
    return Activation(session, after if after != before and after.to_be_cancelled(now) else None)


def _settle(connection: Connection, session_id: SessionId, status: SessionStatus) -> None:
    session = _held(connection, session_id)
    if session is not None:
        _changed(connection, session, settled(session, status))


def _revoke(
    connection: Connection, user_id: UserId, session_id: SessionId | None, now: datetime, unless_shared: bool
) -> tuple[ClientSession, ...]:
    require_sane(session_id or "")
    lock_owner(connection, user_id)
    if session_id is None:
        held = connection.execute(_HOLD_ALL_OF, {"user_id": user_id}).all()
    elif not (held := connection.execute(_HOLD_ONE_OF, {"user_id": user_id, "session_id": session_id}).all()):
        raise NotFound
    given_up = [one for one in map(to_session, held) if not (unless_shared and one.shared)]
    changed = [_changed(connection, before, revoked(before, now)) for before in given_up]
    return tuple(session for session in changed if session.to_be_cancelled(now))


def _sweep(connection: Connection, now: datetime, times: dict[str, datetime]) -> tuple[ClientSession, ...]:
    claimed = []
    for row in connection.execute(_HOLD_DUE, times).all():
        before = to_session(row)
        after = tidied(before, now, access_lost=row.access_lost)
        if after is None:
            connection.execute(_FORGET, {"session_id": before.id})
            continue
        _changed(connection, before, after)
        if after.retry_at != before.retry_at and after.to_be_cancelled(now):
            claimed.append(after)
    return tuple(claimed)


def _held(connection: Connection, session_id: SessionId) -> ClientSession | None:
    row = connection.execute(_HOLD, {"session_id": session_id}).one_or_none()
    return None if row is None else to_session(row)


def _changed(connection: Connection, before: ClientSession, after: ClientSession) -> ClientSession:
    if after != before:
        connection.execute(_CHANGE.values(session_values(after)), {"session_id": after.id})
    return after


def to_session(row: AnyRow) -> ClientSession:
    return ClientSession(
        id=SessionId(row.id),
        user_id=UserId(row.user_id),
        workflow_id=row.workflow_id,
        status=SessionStatus(row.status),
        created_at=row.created_at,
        expires_at=row.expires_at,
        retry_at=row.retry_at,
        upstream_id=row.upstream_id,
        secret_hash=row.secret_hash,
        refreshable=row.refreshable,
        replaced_by=SessionId(row.replaced_by) if row.replaced_by is not None else None,
        sealed_secret=row.sealed_secret,
        shared=row.shared,
        generation=row.generation,
    )


def session_values(session: ClientSession) -> Values:
    return {
        "id": session.id,
        "user_id": session.user_id,
        "workflow_id": session.workflow_id,
        "status": session.status.value,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
        "retry_at": session.retry_at,
        "upstream_id": session.upstream_id,
        "secret_hash": session.secret_hash,
        "refreshable": session.refreshable,
        "replaced_by": session.replaced_by,
        "sealed_secret": session.sealed_secret,
        "shared": session.shared,
        "generation": session.generation,
    }
