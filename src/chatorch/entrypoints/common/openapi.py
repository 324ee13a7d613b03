"""The OpenAPI document: every error that a route can answer with, as the problem that it is."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from chatorch.entrypoints.common.fields import Problem
from chatorch.entrypoints.common.problems import MEDIA_TYPE

EVERYWHERE = (422, 500)
WITH_BODY = (400, 413, 415)
FASTAPI_OWN = ("HTTPValidationError", "ValidationError")
METHODS = frozenset({"get", "put", "post", "delete", "patch"})


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses=``: what it answers with beside 422 and 500, and 400, 413 and 415 for a body."""
    return {status: {"description": HTTPStatus(status).phrase} for status in statuses}


def install_openapi(app: FastAPI) -> None:
    """Replaces FastAPI's own description of errors in the document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_problems(generate())
        return app.openapi_schema

    # FastAPI documents exactly this way of extending it ("Extending OpenAPI").
    app.openapi = openapi  # type: ignore[method-assign]


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    own = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(own.pop("$defs", {}), Problem=own)
    for name in FASTAPI_OWN:
        schemas.pop(name, None)
    for path in document.get("paths", {}).values():
        for operation in (path[method] for method in METHODS & path.keys()):
            _describe_errors(operation)
    return document


def _describe_errors(operation: dict[str, Any]) -> None:
    responses = operation.setdefault("responses", {})
    for status in (*EVERYWHERE, *(WITH_BODY if "requestBody" in operation else ())):
        responses.setdefault(str(status), {"description": HTTPStatus(status).phrase})
    for status, response in responses.items():
        if status.startswith(("4", "5")) and ("content" not in response or status == "422"):
            response["description"] = HTTPStatus(int(status)).phrase
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
