"""`POST /api/ag-ui` asks; `POST /api/ag-ui/connect` shows a thread, and goes on with what is live in it."""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from chatorch.domain.model.conversation import Message
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.run import Run
from chatorch.entrypoints.ag_ui.following import Following
from chatorch.entrypoints.ag_ui.history import around, live_in, newest, waited_for
from chatorch.entrypoints.ag_ui.needs import Needs, given
from chatorch.entrypoints.ag_ui.run_encoder import Names, RunEncoder, thread_at_rest
from chatorch.entrypoints.ag_ui.schemas import ConnectInput, Input, RunInput
from chatorch.entrypoints.ag_ui.turn import open_run
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.principal import SignedIn, SignedInOrGuest
from chatorch.entrypoints.common.run_responses import EVENT_STREAM, events_path
from chatorch.entrypoints.common.strict_json import StrictRoute
from chatorch.entrypoints.common.unread import WholeAnswer

ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {"description": "AG-UI's events", "content": {EVENT_STREAM: {}}},
    **problems(401, 403, 404, 409, 429, 503),
}
NOT_KEPT = {"Content-Type": EVENT_STREAM, "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


async def _needs(request: Request) -> Needs:
    return given.of(request.scope)


NeedsDep = Annotated[Needs, Depends(_needs)]

router = APIRouter(prefix="/api/ag-ui", tags=["ag-ui"], route_class=StrictRoute)


@router.post("", responses=ANSWERED, response_class=Response)
async def run_agent(request: Request, asked: RunInput, principal: SignedInOrGuest, needs: NeedsDep) -> Response:
    """Stores the last message of the user's, or what is said to calls since, and answers. The same `runId` again joins
    the same run."""
    answers = needs.run_responses()
    answers.streams(request, principal, stream=True)
    turn = await open_run(answers.runs, needs.conversations(), principal, asked)
    run = turn.run
    if turn.opened:
        encoder = RunEncoder(run, _names(asked), answers.frames, turn.earlier, turn.told_first)
        return _told(request, principal, needs, run, encoder, connects=False)
    # What the page has of it already would be told it twice.
    messages = await newest(needs.conversations(), principal, run.thread_id)
    return _connected(request, principal, needs, run, asked, messages)


@router.post("/connect", responses=ANSWERED, response_class=Response)
async def connect(request: Request, asked: ConnectInput, principal: SignedIn, needs: NeedsDep) -> Response:
    """The thread's messages, and the rest of the answer that is being written."""
    conversations, runs = needs.conversations(), needs.run_responses().runs
    needs.run_responses().streams(request, principal, stream=True)
    thread = await conversations.named(principal, asked.thread_id)
    if thread is None:
        raise NotFound
    messages = await newest(conversations, principal, thread.id)
    live = live_in(messages)
    if live is None or live.run_id is None:
        at_rest = thread_at_rest(
            _names(asked), around(messages, None), waited_for(messages), holds_thoughts=asked.holds_thoughts
        )
        return WholeAnswer(at_rest, headers=NOT_KEPT)
    run = await runs.read(principal, live.run_id)
    return _connected(request, principal, needs, run, asked, messages)


def _connected(
    request: Request, principal: Principal, needs: Needs, run: Run, asked: Input, messages: list[Message]
) -> Response:
    """As a snapshot, and what follows."""
    history = around(messages, run.message_id)
    encoder = RunEncoder(run, _names(asked), needs.run_responses().frames, history.earlier)
    encoder.history, encoder.holds_thoughts = history, asked.holds_thoughts
    return _told(request, principal, needs, run, encoder, connects=True)


def _told(
    request: Request, principal: Principal, needs: Needs, run: Run, encoder: RunEncoder, *, connects: bool
) -> Response:
    # For the request's own log line; the run's task was given it where it began.
    structlog.contextvars.bind_contextvars(run_id=run.id)
    answers = needs.run_responses()
    following = Following(answers.runs, needs.conversations(), needs.clock(), principal, encoder)
    headers = {"Content-Location": events_path(request.scope, run.id)}
    return answers.tell(principal, run, following.events(run, connects=connects), encoder, headers)


def _names(asked: Input) -> Names:
    return Names(asked.thread_id, asked.run_id)
