"""ChatKit sessions: opened for a user, exchanged for new ones, cancelled, and kept in a ledger.

The row comes first, then the provider, then the row again. So whatever is lost on the way, the ledger knows of it:
an answer that never came is `lost` until it would have expired, a process that died leaves rows that any other one
tidies up, and a sign-out meets a session that is still being opened.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from chatorch.domain.model.chatkit_hosted.errors import ChatKitNotConfigured, SessionGone, WorkflowNotAllowed
from chatorch.domain.model.chatkit_hosted.session import (
    ClientSecret,
    ClientSession,
    IssuedSession,
    SessionId,
    SessionStatus,
    opening,
    refresh_at,
    sealed_for,
)
from chatorch.domain.model.errors import NotFound, StoreUnavailable, Unavailable
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.upstream_errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
)
from chatorch.domain.services.single_flight import SingleFlight
from chatorch.ports.chatkit_hosted.provider import SessionProvider
from chatorch.ports.chatkit_hosted.session_store import Activation, Begun, ChatKitSessionStore
from chatorch.ports.chatkit_hosted.telemetry import SessionTelemetry
from chatorch.ports.system import Clock, IdFactory, Spawner

SWEEP_S = 2.0
ELSEWHERE_S = 20.0
"""How long the answer to another process is waited for; longer than most providers take."""
ELSEWHERE_LOOK_S = 0.2

NOTHING_CREATED = (UpstreamAuthFailed, UpstreamRejected, UpstreamRateLimited)


@dataclass(frozen=True, slots=True)
class ChatKitOffer:
    """What the operator offers: the first workflow is the default. `missing` is the setting without which nothing is.

    Seconds: `life_s` of a session, `refresh_window_s` after its end in which its secret is still exchanged. A user has
    at most `max_sessions` at once, and opens at most as many in a minute.
    """

    workflows: tuple[str, ...] = ()
    missing: str | None = None
    life_s: int = 600
    refresh_window_s: int = 600
    max_sessions: int = 20

    def require(self) -> None:
        """Raises `ChatKitNotConfigured`."""
        if self.missing is not None:
            raise ChatKitNotConfigured(self.missing)

    def workflow_for(self, requested: str | None) -> str:
        """Raises `ChatKitNotConfigured` and `WorkflowNotAllowed`."""
        self.require()
        if requested is not None and requested not in self.workflows:
            raise WorkflowNotAllowed
        return requested or self.workflows[0]


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """What a client is told."""

    session: ClientSession
    secret: ClientSecret

    @property
    def refresh_at(self) -> datetime:
        return refresh_at(self.session)


class ChatKitSessions:
    """The ChatKit user of a session is always the principal's own id. What belongs to somebody else is `NotFound`."""

    def __init__(
        self,
        *,
        chatkit: SessionProvider,
        store: ChatKitSessionStore,
        clock: Clock,
        ids: IdFactory,
        spawner: Spawner,
        telemetry: SessionTelemetry,
        offer: ChatKitOffer,
    ) -> None:
        self._chatkit = chatkit
        self._store = store
        self._clock = clock
        self._ids = ids
        self._spawner = spawner
        self._telemetry = telemetry
        self._offer = offer
        self._single_flight: SingleFlight[OpenedSession] = SingleFlight(spawner, self._give_up)
        self._unrecorded: set[SessionId] = set()

    async def open(self, principal: Principal, workflow_id: str | None = None) -> OpenedSession:
        """A new session. One whose caller leaves before it is there is cancelled; the user's oldest makes room for it.

        Raises `ChatKitNotConfigured`, `WorkflowNotAllowed`, `TooManySessions`, `UpstreamError`, `StoreUnavailable`, and
        `SessionGone` where the user signs out meanwhile.
        """
        session = self._new(principal, self._offer.workflow_for(workflow_id))
        return await self._single_flight.join(session.id, lambda: self._begin_and_issue(session))

    async def refresh(self, principal: Principal, secret: ClientSecret) -> OpenedSession:
        """A new session for the same user and workflow; the old one is cancelled.

        Who comes with the same secret, to whichever process and however much later, gets the same one, until that is to
        be refreshed itself. Raises like `open`; `NotFound` for a secret that is not this user's; `SessionGone` where
        its session was cancelled, or ended too long ago; `Unavailable` where another process takes too long over it.
        """
        self._offer.require()
        old = await self._store.find(principal.user_id, secret.hashed())
        if old is None:
            raise NotFound
        until = old.expires_at + timedelta(seconds=self._offer.refresh_window_s)
        if not old.refreshable or self._clock.now() >= until:
            raise SessionGone
        session = self._new(principal, self._offer.workflow_for(old.workflow_id))
        return await self._single_flight.join(old.id, lambda: self._exchange(principal, secret, session, old.id))

    async def cancel(self, principal: Principal, session_id: SessionId) -> None:
        """No effect on one that is over. Raises `NotFound`, `StoreUnavailable`, and `UpstreamError`.

        After the latter it is being tried again, until the session expires.
        """
        await self._cancel_all_of(await self._store.revoke(principal.user_id, session_id, self._clock.now()))

    async def cancel_all(self, principal: Principal) -> None:
        """All of the principal's, also those that are being opened. Raises like `cancel`."""
        await self._cancel_all_of(await self._store.revoke(principal.user_id, None, self._clock.now()))

    # -- upkeep ----------------------------------------------------------------------------------------------------

    async def keep_tidy(self) -> None:
        """For ever: sweeps every two seconds, where ChatKit is set up."""
        while self._offer.missing is None:
            await self._clock.sleep(SWEEP_S)
            try:
                await self.sweep()
            except StoreUnavailable as error:
                self._telemetry.store_unavailable("the ledger of ChatKit sessions", error)
            except Exception as error:
                self._telemetry.failed("the ledger of ChatKit sessions", error)

    async def sweep(self) -> None:
        """Ends what dead processes left, expires, forgets, and cancels what could not be cancelled yet.

        So ends what belongs to users who were disabled, or got a new password. Raises `StoreUnavailable`.
        """
        for session_id in list(self._unrecorded):
            await self._store.settle(session_id, SessionStatus.CANCELLED)
            self._unrecorded.discard(session_id)
        await asyncio.gather(*(self._try_to_end(session) for session in await self._store.sweep(self._clock.now())))

    # -- one after the other ---------------------------------------------------------------------------------------

    def _new(self, principal: Principal, workflow_id: str) -> ClientSession:
        life = timedelta(seconds=self._offer.life_s)
        new_id, now = SessionId(self._ids.new("cks")), self._clock.now()
        return opening(new_id, principal.user_id, workflow_id, now, life, generation=principal.generation)

    async def _begin_and_issue(self, session: ClientSession) -> OpenedSession:
        return await self._issue(await self._begin(session))

    async def _exchange(
        self, principal: Principal, secret: ClientSecret, session: ClientSession, old_id: SessionId
    ) -> OpenedSession:
        """The ledger says who does it, by which row is there first; anybody else waits for that one to be active."""
        until = self._clock.monotonic() + ELSEWHERE_S
        while (begun := await self._begin(session, old_id)).joined:
            if begun.session.status is not SessionStatus.OPENING:
                return await self._joined(principal, begun.session, secret)
            if self._clock.monotonic() >= until:
                raise Unavailable("Another process is opening this session.")
            await self._clock.sleep(ELSEWHERE_LOOK_S)
        return await self._issue(begun, old_id, secret)

    async def _joined(self, principal: Principal, session: ClientSession, before: ClientSecret) -> OpenedSession:
        secret = session.secret(before)
        if secret is None:
            raise SessionGone
        if session.status is SessionStatus.ACTIVE and self._clock.now() < refresh_at(session):
            return OpenedSession(session, secret)
        return await self.refresh(principal, secret)

    async def _begin(self, session: ClientSession, replaces: SessionId | None = None) -> Begun:
        begun = await self._store.begin(session, replaces, limit=self._offer.max_sessions)
        for ended in begun.ended:
            self._spawner.spawn(self._try_to_end(ended), f"cancel {ended.id}")
        return begun

    async def _issue(
        self, begun: Begun, replaces: SessionId | None = None, before: ClientSecret | None = None
    ) -> OpenedSession:
        session = begun.session
        issued = await self._created(session)
        sealed = None if before is None else sealed_for(issued.secret, session.id, before)
        activation = await self._activated(session, issued, replaces, sealed)
        if activation.ended is not None:
            self._spawner.spawn(self._try_to_end(activation.ended), f"cancel {activation.ended.id}")
        if activation.session.status is not SessionStatus.ACTIVE:
            await self._try_to_end(activation.session)
            raise SessionGone
        self._telemetry.session(activation.session, SessionStatus.ACTIVE)
        return OpenedSession(activation.session, issued.secret)

    async def _created(self, session: ClientSession) -> IssuedSession:
        try:
            return await self._chatkit.create(session.user_id, session.workflow_id)
        except NOTHING_CREATED as error:
            await self._record(session, SessionStatus.REFUSED, error)
            raise
        except UpstreamError as error:
            await self._record(session, SessionStatus.LOST, error)
            raise

    async def _activated(
        self, session: ClientSession, issued: IssuedSession, replaces: SessionId | None, sealed: str | None
    ) -> Activation:
        """What cannot be put into the ledger is cancelled at once: nobody could do it later."""
        try:
            return await self._store.activate(session.id, issued, self._clock.now(), replaces, sealed_secret=sealed)
        except BaseException:
            await asyncio.shield(self._end_unrecorded(session, issued))
            raise

    async def _end_unrecorded(self, session: ClientSession, issued: IssuedSession) -> None:
        try:
            await self._chatkit.cancel(issued.id)
        except UpstreamError as error:
            self._telemetry.session(session, SessionStatus.LOST, error)
        else:
            self._unrecorded.add(session.id)
            self._telemetry.session(session, SessionStatus.CANCELLED)

    async def _record(self, session: ClientSession, status: SessionStatus, error: UpstreamError) -> None:
        """A store that is away must not hide what the provider said; the row is tidied up later."""
        self._telemetry.session(session, status, error)
        try:
            await self._store.settle(session.id, status)
        except StoreUnavailable as away:
            self._telemetry.store_unavailable("the end of a ChatKit session", away)

    async def _give_up(self, opened: OpenedSession) -> None:
        """Nobody here heard the secret; whoever comes with the one before, to another process, may."""
        session = opened.session
        try:
            ended = await self._store.revoke(session.user_id, session.id, self._clock.now(), unless_shared=True)
        except StoreUnavailable as error:
            self._telemetry.store_unavailable("the end of a ChatKit session", error)
            return
        for one in ended:
            await self._try_to_end(one)

    async def _cancel_all_of(self, sessions: Iterable[ClientSession]) -> None:
        ends = await asyncio.gather(*(self._end(session) for session in sessions), return_exceptions=True)
        for error in ends:
            if isinstance(error, BaseException):
                raise error

    async def _end(self, session: ClientSession) -> None:
        assert session.upstream_id is not None  # noqa: S101  # stores return no others
        await self._chatkit.cancel(session.upstream_id)
        self._telemetry.session(session, SessionStatus.CANCELLED)
        await self._store.settle(session.id, SessionStatus.CANCELLED)

    async def _try_to_end(self, session: ClientSession) -> None:
        """What fails stays in the ledger, and is tried again by a sweep, this process's or another's."""
        try:
            await self._end(session)
        except UpstreamError as error:
            self._telemetry.session(session, SessionStatus.CANCELLING, error)
        except StoreUnavailable as error:
            self._unrecorded.add(session.id)
            self._telemetry.store_unavailable("the end of a ChatKit session", error)
