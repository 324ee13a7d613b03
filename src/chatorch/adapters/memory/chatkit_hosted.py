"""The ledger of ChatKit sessions in memory."""

from dataclasses import replace
from datetime import datetime

from chatorch.adapters.memory.state import State
from chatorch.domain.model.chatkit_hosted.errors import SessionGone
from chatorch.domain.model.chatkit_hosted.session import (
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


class MemoryChatKitSessionStore(ChatKitSessionStore):
    def __init__(self, state: State) -> None:
        self._state = state
        self._sessions: dict[SessionId, ClientSession] = {}

    async def begin(
        self, session: ClientSession, replaces: SessionId | None = None, *, limit: int | None = None
    ) -> Begun:
        self._state.require_available()
        sessions = self._sessions
        before = sessions.get(replaces) if replaces is not None else None
        if replaces is not None and (before is None or not before.refreshable):
            raise SessionGone
        after = sessions.get(before.replaced_by) if before and before.replaced_by else None
        if after is not None and after.joinable:
            after = sessions[after.id] = replace(after, shared=True)
            return Begun(after, joined=True)
        ended = self._room_for(session, replaces, limit) if limit is not None else ()
        sessions.update({one.id: one for one in ended})
        sessions[session.id] = session
        if before is not None:
            sessions[before.id] = replace(before, replaced_by=session.id)
        return Begun(session, ended=tuple(one for one in ended if one.to_be_cancelled(session.created_at)))

    def _room_for(self, session: ClientSession, replaces: SessionId | None, limit: int) -> tuple[ClientSession, ...]:
        mine, now = self._of(session.user_id), session.created_at
        latest = [one.created_at for one in mine if abs(one.created_at - now) < RATE_WINDOW]
        counted = {SessionStatus.OPENING, SessionStatus.ACTIVE}
        return room_for(session, [one for one in mine if one.status in counted and one.id != replaces], latest, limit)

    async def activate(
        self,
        session_id: SessionId,
        issued: IssuedSession,
        now: datetime,
        replaces: SessionId | None = None,
        *,
        sealed_secret: str | None = None,
    ) -> Activation:
        self._state.require_available()
        session = self._sessions.get(session_id)
        if session is None:
            raise NotFound
        before = self._sessions.get(replaces) if replaces is not None else None
        session = activated(session, issued, now, replaces=before, sealed_secret=sealed_secret)
        self._sessions[session_id] = session
        if session.status is not SessionStatus.ACTIVE or before is None:
            return Activation(session)
        after = self._sessions[before.id] = replaced(before, now)
        return Activation(session, after if after != before and after.to_be_cancelled(now) else None)

    async def settle(self, session_id: SessionId, status: SessionStatus) -> None:
        self._state.require_available()
        if session := self._sessions.get(session_id):
            self._sessions[session_id] = settled(session, status)

    async def find(self, user_id: UserId, secret_hash: str) -> ClientSession | None:
        self._state.require_available()
        found = [one for one in self._of(user_id) if one.secret_hash == secret_hash]
        return max(found, key=lambda one: (one.created_at, one.id), default=None)

    async def revoke(
        self, user_id: UserId, session_id: SessionId | None, now: datetime, *, unless_shared: bool = False
    ) -> tuple[ClientSession, ...]:
        self._state.require_available()
        found = [one for one in self._of(user_id) if session_id in (None, one.id)]
        if session_id is not None and not found:
            raise NotFound
        after = [revoked(one, now) for one in found if not (unless_shared and one.shared)]
        self._sessions.update({one.id: one for one in after})
        return tuple(one for one in after if one.to_be_cancelled(now))

    async def sweep(self, now: datetime) -> tuple[ClientSession, ...]:
        self._state.require_available()
        claimed = []
        for before in list(self._sessions.values()):
            user = self._state.users.get(before.user_id)
            lost = user is not None and (user.disabled or before.generation not in (None, user.generation))
            after = tidied(before, now, access_lost=lost)
            if after is None:
                del self._sessions[before.id]
                continue
            self._sessions[before.id] = after
            if after.retry_at != before.retry_at and after.to_be_cancelled(now):
                claimed.append(after)
        return tuple(claimed)

    def _of(self, user_id: UserId) -> list[ClientSession]:
        return [one for one in self._sessions.values() if one.user_id == user_id]
