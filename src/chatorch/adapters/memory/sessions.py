"""The ledger of ChatKit sessions in memory."""

from datetime import datetime

from chatorch.adapters.memory.state import State
from chatorch.domain.model.client_session import (
    ClientSession,
    IssuedSession,
    SessionId,
    SessionStatus,
    activated,
    replaced,
    revoked,
    settled,
    tidied,
)
from chatorch.domain.model.errors import NotFound, SessionGone
from chatorch.domain.model.identity import UserId
from chatorch.ports.sessions import Activation, SessionStore


class MemorySessionStore(SessionStore):
    def __init__(self, state: State) -> None:
        self._state = state

    async def begin(self, session: ClientSession, replaces: SessionId | None = None) -> None:
        self._state.require_available()
        if replaces is not None:
            before = self._state.sessions.get(replaces)
            if before is None or not before.refreshable:
                raise SessionGone
        self._state.sessions[session.id] = session

    async def activate(
        self, session_id: SessionId, issued: IssuedSession, now: datetime, replaces: SessionId | None = None
    ) -> Activation:
        self._state.require_available()
        session = self._state.sessions.get(session_id)
        if session is None:
            raise NotFound
        before = self._state.sessions.get(replaces) if replaces is not None else None
        session = self._state.sessions[session_id] = activated(session, issued, now, replaces=before)
        if session.status is not SessionStatus.ACTIVE or before is None:
            return Activation(session)
        after = self._state.sessions[before.id] = replaced(before, now)
        return Activation(session, after if after != before and after.to_be_cancelled(now) else None)

    async def settle(self, session_id: SessionId, status: SessionStatus) -> None:
        self._state.require_available()
        if session := self._state.sessions.get(session_id):
            self._state.sessions[session_id] = settled(session, status)

    async def find(self, user_id: UserId, secret_hash: str) -> ClientSession | None:
        self._state.require_available()
        found = [one for one in self._of(user_id) if one.secret_hash == secret_hash]
        return max(found, key=lambda one: (one.created_at, one.id), default=None)

    async def revoke(self, user_id: UserId, session_id: SessionId | None, now: datetime) -> tuple[ClientSession, ...]:
        self._state.require_available()
        found = [one for one in self._of(user_id) if session_id in (None, one.id)]
        if session_id is not None and not found:
            raise NotFound
        after = [revoked(one, now) for one in found]
        self._state.sessions.update({one.id: one for one in after})
        return tuple(one for one in after if one.to_be_cancelled(now))

    async def sweep(self, now: datetime) -> tuple[ClientSession, ...]:
        self._state.require_available()
        claimed = []
        for before in list(self._state.sessions.values()):
            user = self._state.users.get(before.user_id)
            after = tidied(before, now, user_disabled=user is not None and user.disabled)
            if after is None:
                del self._state.sessions[before.id]
                continue
            self._state.sessions[before.id] = after
            if after.retry_at != before.retry_at and after.to_be_cancelled(now):
                claimed.append(after)
        return tuple(claimed)

    def _of(self, user_id: UserId) -> list[ClientSession]:
        return [one for one in self._state.sessions.values() if one.user_id == user_id]
