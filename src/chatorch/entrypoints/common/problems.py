"""Errors as RFC 9457 problem details: the form of our own doors."""

from collections.abc import Mapping, Sequence

import msgspec
from pydantic import BaseModel

from chatorch.domain.model.errors import ChatorchError
from chatorch.entrypoints.common.error_form import ErrorForm, Refusal
from chatorch.entrypoints.common.failures import Failure, domain_failure, http_failure, invalid_fields
from chatorch.entrypoints.common.fields import Problem
from chatorch.entrypoints.common.request_id import current_request_id

MEDIA_TYPE = "application/problem+json"


class ProblemForm(ErrorForm):
    """Members that are None are left out."""

    media_type = MEDIA_TYPE

    @property
    def model(self) -> type[BaseModel]:
        return Problem

    def body(self, failure: Failure) -> bytes:
        members = {"error": failure.error, "errors": failure.errors, "run_id": failure.run_id}
        return msgspec.json.encode(
            {
                "type": f"urn:chatorch:problem:{failure.code}",
                "title": failure.title,
                "status": failure.status,
                "detail": failure.detail,
                "code": failure.code,
                "request_id": current_request_id(),
                "message": failure.title,
                **{name: value for name, value in members.items() if value is not None},
            }
        )


PROBLEMS = ProblemForm()


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    logged: Mapping[str, object] | None = None,
    run_id: str | None = None,
) -> Refusal:
    """One problem, or the same in the form of the door that is asked. `logged` is not for the client."""
    return Refusal(Failure(status, code, detail, headers or {}, run_id=run_id, logged=logged or {}), PROBLEMS)


def domain_problem(error: ChatorchError) -> Refusal:
    return Refusal(domain_failure(error), PROBLEMS)


def http_problem(status: int, headers: Mapping[str, str] | None = None) -> Refusal:
    return Refusal(http_failure(status, headers), PROBLEMS)


def invalid(errors: Sequence[Mapping[str, str]], *, total: int | None = None) -> Refusal:
    return Refusal(invalid_fields(errors, total=total), PROBLEMS)
