"""The OpenAPI document: every error that a route can answer with, in the form that its door gives it."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from chatorch.entrypoints.common.door import Doors
from chatorch.entrypoints.common.error_form import ErrorForm
from chatorch.entrypoints.common.failures import invalid_fields

EVERYWHERE = (422, 500)
WITH_BODY = (400, 413, 415)
FASTAPI_OWN = ("HTTPValidationError", "ValidationError")
METHODS = frozenset({"get", "put", "post", "delete", "patch"})

STREAMED = """

Server-sent events: `id` is a position, from which `Last-Event-ID` goes on; `data` is a JSON object with `run_id`, `seq`
(the same position), `type` and:

- `run.started`: `thread_id`, `message_id`, `model`
- `message.delta`: `text` to append; `index` of its part where that is not 0
- `part.started`: `index`, `part`, a `PartOut` of which so much is known
- `part.delta`: `index`, `text` to append to the part's `text`, `arguments` or `content`
- `part.ended`: `index`, `part`, a `PartOut` with all but what was appended
- `message.snapshot`: `text`, and `parts` (of `PartOut`) where there is more than text; replaces what was told before
- `run.completed`: `message_id`, `finish_reason`, `usage`
- `run.failed`: `code`, `detail`, `retryable`
- `run.cancelled`: `reason`
- `run.interrupted`

The last four end the stream. Who shows text only listens to `message.*` and `run.*`.
"""
"""What a route that streams says of it in the OpenAPI document."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses=``: what it answers with beside 422 and 500, and 400, 413 and 415 for a body."""
    return {status: {"description": HTTPStatus(status).phrase} for status in statuses}


def install_openapi(app: FastAPI, doors: Doors) -> None:
    """Replaces FastAPI's own description of errors in the document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_errors(generate(), doors)
        return app.openapi_schema

    # FastAPI documents exactly this way of extending it ("Extending OpenAPI").
    app.openapi = openapi  # type: ignore[method-assign]


def _with_errors(document: dict[str, Any], doors: Doors) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in FASTAPI_OWN:
        schemas.pop(name, None)
    for address, path in document.get("paths", {}).items():
        form = doors.of_template(address).errors
        own = form.model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(own.pop("$defs", {}), **{form.model.__name__: own})
        for operation in (path[method] for method in METHODS & path.keys()):
            _describe_errors(operation, form)
    return document


def _describe_errors(operation: dict[str, Any], form: ErrorForm) -> None:
    responses = operation.setdefault("responses", {})
    for status in (*EVERYWHERE, *(WITH_BODY if "requestBody" in operation else ())):
        responses.setdefault(str(status), {"description": HTTPStatus(status).phrase})
    for status, response in responses.items():
        if status.startswith(("4", "5")) and ("content" not in response or status == "422"):
            response["description"] = HTTPStatus(int(status)).phrase
            response["content"] = {form.media_type: {"schema": {"$ref": f"#/components/schemas/{form.model.__name__}"}}}
    if (invalid := str(form.status(invalid_fields([])))) != "422":
        responses[invalid] = responses.pop("422")
