"""Errors as OpenAI tells them: ``{"error": {"message", "type", "param", "code"}}``."""

import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from pydantic import BaseModel, ConfigDict

from chatorch.domain.model import upstream_errors as u
from chatorch.domain.model.errors import ModelNotAllowed, NotConfigured
from chatorch.entrypoints.common.error_form import ErrorForm
from chatorch.entrypoints.common.failures import Failure

MODEL_NOT_FOUND = "model_not_found"

_STATUSES = {422: 400}
_CODE_STATUSES = {ModelNotAllowed.code: 404}
_CODES = {ModelNotAllowed.code: MODEL_NOT_FOUND}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

_FINAL = frozenset(
    {
        NotConfigured.code,
        # We have asked the provider again ourselves: where a client did so too, three times would be nine
        *(u.UpstreamError.code, u.UpstreamAuthFailed.code, u.UpstreamRejected.code, u.UpstreamInvalid.code),
        *(u.UpstreamRateLimited.code, u.UpstreamUnavailable.code, u.UpstreamTimeout.code),
    }
)
"""Of what a client repeats by the status, where it helps nobody to do so at once."""

RUN_HEADER = "x-chatorch-run"
"""Names the run that an answer is of, or an error is about: `/api/runs/{run_id}` tells more."""

_PATH = re.compile(r"(?:(?<=^)|(?<=; ))[\w*.-]+(?=: )")
"""What a message begins with, and each of the problems in it."""
_INDEX = re.compile(r"\.(\d+)(?=\.|$)")
_NO_FIELD = frozenset({"body", "*"})


class ErrorObject(BaseModel):
    model_config = ConfigDict(extra="forbid")

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorOut(BaseModel):
    model_config = ConfigDict(extra="forbid")

    error: ErrorObject


class OpenAIErrorForm(ErrorForm):
    """A client's library finds its exception by the status, and repeats 408, 409, 429 and all from 500 on."""

    media_type = "application/json"

    @property
    def model(self) -> type[BaseModel]:
        return OpenAIErrorOut

    def status(self, failure: Failure) -> int:
        return _CODE_STATUSES.get(failure.code) or _STATUSES.get(failure.status, failure.status)

    def headers(self, failure: Failure) -> Mapping[str, str]:
        """A conflict stands for longer than a client goes on asking, but where a process was stopping."""
        headers = dict(failure.headers)
        if failure.run_id is not None:
            headers[RUN_HEADER] = failure.run_id
        if failure.again:
            headers["x-should-retry"] = "true"
        elif failure.status == HTTPStatus.CONFLICT or failure.code in _FINAL:
            headers["x-should-retry"] = "false"
        return headers

    def body(self, failure: Failure) -> bytes:
        return msgspec.json.encode({"error": self.error(failure)})

    def error(self, failure: Failure) -> dict[str, str | None]:
        """The object itself, which streams tell as well."""
        return {
            "message": _PATH.sub(lambda found: _as_openai(found[0]), failure.detail),
            # What ended because a process was stopping was no fault of its client's, though it is a conflict.
            "type": "server_error" if failure.again else error_type(self.status(failure)),
            "param": _param(failure),
            "code": _CODES.get(failure.code, failure.code),
        }


OPENAI_ERRORS = OpenAIErrorForm()


def error_type(status: int) -> str:
    return _TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")


def _param(failure: Failure) -> str | None:
    """The first field that is wrong, as OpenAI writes it: ``messages[0].content``."""
    field = failure.errors[0]["field"] if failure.errors else "body"
    return None if field in _NO_FIELD else _as_openai(field)


def _as_openai(path: str) -> str:
    return _INDEX.sub(r"[\1]", path)
