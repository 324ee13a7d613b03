"""Answering with a run, as JSON when it has ended or as events while it goes: the same for every route."""

from abc import abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Annotated, Protocol

import structlog
from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import TooManyFollowers
from chatorch.domain.model.identity import Principal, UserId
from chatorch.domain.model.run import (
    Run,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunInterrupted,
    RunStarted,
    Silence,
)
from chatorch.domain.services.identity.revocation import Revocation
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.common.counters import Counters
from chatorch.entrypoints.common.disconnect import unless_client_leaves
from chatorch.entrypoints.common.error_responses import run_problem
from chatorch.entrypoints.common.event_encoder import EventEncoder, EventFrames
from chatorch.entrypoints.common.given import Given
from chatorch.entrypoints.common.negotiation import prefers
from chatorch.entrypoints.common.prefix import public_path
from chatorch.entrypoints.common.sse import EventStream, SseEncoder
from chatorch.entrypoints.common.views import chat_view, json_response
from chatorch.ports.system import Clock

EVENT_STREAM = "text/event-stream"
JSON = "application/json"
FAILED = (RunFailed, RunCancelled, RunInterrupted)
COME_BACK_S = 5.0
"""When one of many followers may have left."""


class RunForm(Protocol):
    """How a door tells a run."""

    @abstractmethod
    def whole(self, run: Run, content: Content, end: RunCompleted, finished_at: datetime) -> Response:
        """The answer of a run that completed; `run` may be as it was opened."""
        ...

    @abstractmethod
    def encoder(self, run: Run) -> EventEncoder:
        """For one follower, made anew for each. All who follow in its dialect share what it encodes."""
        ...

    @abstractmethod
    def headers(self, scope: Scope, run: Run) -> dict[str, str]:
        """What a stream of it has besides."""
        ...


class _OurForm(RunForm):
    def whole(self, run: Run, content: Content, end: RunCompleted, finished_at: datetime) -> Response:
        return json_response(chat_view(run, content, end, finished_at))

    def encoder(self, run: Run) -> EventEncoder:
        return SseEncoder(run.id)

    def headers(self, scope: Scope, run: Run) -> dict[str, str]:
        return {"Content-Location": events_path(scope, run.id)}


_OURS = _OurForm()


class RunResponses:
    """Turns a run that has been started by `runs` into a response, in the form that the client asked for."""

    def __init__(
        self,
        runs: Runs,
        revocation: Revocation,
        frames: EventFrames,
        metrics: Counters,
        clock: Clock,
        *,
        max_followers: int,
    ) -> None:
        self.runs = runs
        self.frames = frames
        self._revocation = revocation
        self._metrics = metrics
        self._clock = clock
        self._max_followers = max_followers
        self._followers: Counter[UserId] = Counter()

    def streams(self, request: Request, principal: Principal, stream: bool | None) -> bool:
        """Whether the answer goes out as events: `stream` is what the client asks for; where it says nothing (None),
        its `Accept` does, and else it is JSON.

        To be asked before anything is stored. Raises `TooManyFollowers`: whoever repeats a request follows its run.
        """
        if stream is None:
            stream = prefers(request.headers.getlist("accept"), EVENT_STREAM, over=JSON)
        if stream:
            self._require_room(principal.user_id)
        return stream

    async def to(
        self, request: Request, principal: Principal, run: Run, *, stream: bool, form: RunForm | None = None
    ) -> Response:
        """`stream` is what `streams` said; `form` is the door's, ours by default.

        Raises `ClientLeft` when the client does, `RunUnsettled`, `InvalidToken` when the principal loses access, and
        `TooManyFollowers` where others took the last place meanwhile: the run goes on.
        """
        # For the request's own log line; the run's task was given it where it began.
        structlog.contextvars.bind_contextvars(run_id=run.id)
        if stream:
            return self.follow(request, principal, run, form=form)
        async with unless_client_leaves(request.receive), self._revocation.unless_revoked(principal):
            answer = await self.runs.answer(run)
        if isinstance(answer.terminal, RunCompleted):
            return (form or _OURS).whole(run, answer.content, answer.terminal, self._clock.now())
        return run_problem(run.id, answer.terminal, repeated=not run.status.live)

    def follow(
        self, request: Request, principal: Principal, run: Run, after: int = 0, *, form: RunForm | None = None
    ) -> EventStream:
        """It ends when the principal loses access, with what the form's encoder says of that (`cut_off`). Raises
        `TooManyFollowers`, of the run's owner."""
        return self._follow(request, principal, run, self.runs.events(run, after), form or _OURS)

    async def follow_once_it_speaks(
        self, request: Request, principal: Principal, run: Run, *, form: RunForm
    ) -> Response:
        """As `follow`; but where the run fails before it has said anything, the status says so, as in JSON.

        For clients that look for it there. It is waited for until the first silence, two seconds at most: a stream that
        has begun can show that it lives. Raises `ClientLeft` as well.
        """
        structlog.contextvars.bind_contextvars(run_id=run.id)
        self._require_room(run.owner_id)
        events = self.runs.events(run)
        try:
            async with unless_client_leaves(request.receive), self._revocation.unless_revoked(principal):
                begun = await _until_it_speaks(events)
            failed = next((event for event in begun if isinstance(event, FAILED)), None)
            if failed is None:
                return self._follow(request, principal, run, events, form, begun)
        except BaseException:
            await events.aclose()
            raise
        await events.aclose()
        return run_problem(run.id, failed, repeated=not run.status.live)

    def _follow(
        self,
        request: Request,
        principal: Principal,
        run: Run,
        events: AsyncGenerator[RunEvent | Silence],
        form: RunForm,
        begun: Sequence[RunEvent] = (),
    ) -> EventStream:
        encoder = self.frames.shared(run.id, form.encoder(run))
        return self.tell(principal, run, events, encoder, form.headers(request.scope, run), begun)

    def tell(
        self,
        principal: Principal,
        run: Run,
        events: AsyncGenerator[RunEvent | Silence],
        encoder: EventEncoder,
        headers: dict[str, str],
        begun: Sequence[RunEvent] = (),
    ) -> EventStream:
        """As `follow`, of `events` that a door may have put together itself; `begun` were taken from them already."""
        self._require_room(run.owner_id)
        return EventStream(
            events,
            encoder,
            begun=begun,
            counted=partial(self._counted, run.owner_id),
            held=partial(self._revocation.ending, principal),
            headers=headers,
        )

    def _require_room(self, owner_id: UserId) -> None:
        if self._followers[owner_id] >= self._max_followers:
            raise TooManyFollowers(retry_after=COME_BACK_S)

    @contextmanager
    def _counted(self, owner_id: UserId) -> Iterator[None]:
        self._followers[owner_id] += 1
        try:
            with self._metrics.connection():
                yield
        finally:
            self._followers[owner_id] -= 1
            if not self._followers[owner_id]:
                del self._followers[owner_id]


async def _until_it_speaks(events: AsyncGenerator[RunEvent | Silence]) -> list[RunEvent]:
    """The start, and the first event after it, unless there is silence before."""
    begun: list[RunEvent] = []
    async for event in events:
        if isinstance(event, Silence):
            break
        begun.append(event)
        if not isinstance(event, RunStarted):
            break
    return begun


def events_path(scope: Scope, run_id: RunId) -> str:
    return public_path(scope, f"/api/runs/{run_id}/events")


class Needs(Protocol):
    @abstractmethod
    def run_responses(self) -> RunResponses: ...


given = Given[Needs]()

Responses = Annotated[RunResponses, Depends(given(lambda c: c.run_responses()))]
