"""Errors before a stream begins: the protocol has no words for them, its client has a status and a JSON body.

`@ag-ui/client` raises ``HTTP 409: {...}`` with `status` and `payload`, which it reads only of ``application/json``.
In it are the members of RUN_ERROR, which is what a run that fails later is told as.
"""

import msgspec
from pydantic import BaseModel, ConfigDict

from chatorch.domain.model.errors import RoleNotAllowed
from chatorch.entrypoints.common.error_form import ErrorForm
from chatorch.entrypoints.common.failures import Failure
from chatorch.entrypoints.common.fields import FieldProblem
from chatorch.entrypoints.common.request_id import current_request_id

OUR_FIELDS = {"Idempotency-Key": "runId", "model": "forwardedProps.model"}
"""As this door's requests have them."""


class AgUiErrorOut(BaseModel):
    """`code` is stable; `run_id` is there where a run is concerned, `errors` where fields are."""

    model_config = ConfigDict(extra="forbid")

    code: str
    message: str
    status: int
    request_id: str | None
    run_id: str | None = None
    errors: list[FieldProblem] | None = None


class AgUiErrorForm(ErrorForm):
    media_type = "application/json"

    @property
    def model(self) -> type[BaseModel]:
        return AgUiErrorOut

    def body(self, failure: Failure) -> bytes:
        names = {**OUR_FIELDS, "messages": "context"} if failure.code == RoleNotAllowed.code else OUR_FIELDS
        errors = failure.errors and [
            {**each, "field": names.get(each["field"], each["field"])} for each in failure.errors
        ]
        more = {"run_id": failure.run_id, "errors": errors}
        return msgspec.json.encode(
            {
                "code": failure.code,
                "message": failure.detail,
                "status": failure.status,
                "request_id": current_request_id(),
                **{name: value for name, value in more.items() if value is not None},
            }
        )


AG_UI_ERRORS = AgUiErrorForm()
