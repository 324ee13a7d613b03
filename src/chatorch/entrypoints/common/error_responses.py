"""Every error becomes a refusal: one function for each way that a request can fail, installed in one place."""

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from chatorch.domain.model.errors import ChatorchError
from chatorch.domain.model.run import CancelReason, RunCancelled, RunCompleted, RunFailed, RunInterrupted, TerminalEvent
from chatorch.entrypoints.common.door import Doors
from chatorch.entrypoints.common.error_form import Refusal
from chatorch.entrypoints.common.failures import INTERNAL_DETAIL, MAX_ERRORS, Failure, seconds, status_of_code
from chatorch.entrypoints.common.problems import PROBLEMS, domain_problem, http_problem, invalid, problem
from chatorch.entrypoints.common.refused import RequestRefused

log = structlog.get_logger(__name__)

ASK_AGAIN = "This Idempotency-Key was used for that run; POST /api/runs/{run_id}/retry asks the model again."
KEY_KEPT_S = str(24 * 60 * 60)
"""For so long the same key gets the same answer."""
BODILESS = frozenset({204, 304})


class ErrorResponses:
    """The answer to any exception, in words of the door that is asked; its form it gets on its way out.

    `debug` shows an unexpected one's own text in `detail`.
    """

    def __init__(self, doors: Doors, *, debug: bool = False) -> None:
        self._doors = doors
        self._debug = debug

    def answer(self, error: Exception, scope: Scope) -> Response:
        """Logs what is unexpected, and only that."""
        match error:
            case ChatorchError():
                response = domain_problem(error)
                if response.status_code == 500:
                    log.error("request_failed", exc_info=error)
                return response
            case RequestValidationError():
                found, fields = error.errors(), self._doors.of(scope).fields
                # A body can hold a hundred thousand mistakes: no more are described than are told.
                return invalid([fields.error(item) for item in found[:MAX_ERRORS]], total=len(found))
            case RequestRefused():
                return problem(error.status_code, error.code, error.detail, headers=error.headers)
            case HTTPException():
                if error.status_code in BODILESS:
                    return Response(status_code=error.status_code, headers=error.headers)
                return http_problem(error.status_code, error.headers)
        log.error("request_failed", exc_info=error)
        detail = (str(error) or type(error).__name__) if self._debug else INTERNAL_DETAIL
        return problem(500, ChatorchError.code, detail, logged={"detail": INTERNAL_DETAIL})


def install_error_handlers(app: FastAPI, doors: Doors, *, debug: bool = False) -> ErrorResponses:
    """For what is raised in a route or a dependency; the middleware answers what is raised elsewhere."""
    responses = ErrorResponses(doors, debug=debug)

    async def handle(request: Request, error: Exception) -> Response:
        return responses.answer(error, request.scope)

    for kind in (ChatorchError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, handle)
    return responses


def run_problem(run_id: str, terminal: TerminalEvent, *, repeated: bool = False) -> Refusal:
    """The answer to a caller that wanted JSON when the run ended without an answer. Never for a completed run."""
    return Refusal(run_failure(run_id, terminal, repeated=repeated), PROBLEMS)


def run_failure(run_id: str, terminal: TerminalEvent, *, repeated: bool = False) -> Failure:
    """Why a run has no answer. Never for a completed one.

    `repeated`: the run had ended before the caller came, who used an idempotency key once more. The same request
    would be told the same again until the key is forgotten, and a 503 says when that is.
    """
    retry_after: dict[str, str] = {}
    again = False
    match terminal:
        case RunFailed():
            status, code = status_of_code(terminal.code), terminal.code
            detail = terminal.detail if status != 500 else INTERNAL_DETAIL
            if status == 503:
                retry_after = {"Retry-After": seconds(terminal.retry_after or 1)}
        case RunCancelled():
            status, code, detail = 409, "run_cancelled", f"The run was cancelled ({terminal.reason})."
            again = terminal.reason is CancelReason.SHUTDOWN and not repeated
        case RunInterrupted():
            status, code, detail = 503, "run_interrupted", "The process that carried out the run is gone."
            retry_after = {"Retry-After": "1"}
        case RunCompleted():
            raise ValueError(f"run {run_id} completed")
    if repeated:
        detail = f"{detail} {ASK_AGAIN}"
        retry_after = {"Retry-After": KEY_KEPT_S} if retry_after else {}
    return Failure(status, code, detail, retry_after, run_id=run_id, again=again)
