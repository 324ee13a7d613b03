"""What ChatKit's widget asks for, checked as everything that comes in here is."""

from typing import Any, get_args

from chatkit import types as kit
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError

from chatorch.domain.model.errors import InvalidField
from chatorch.entrypoints.common.field_paths import FieldNames

_REQUESTS: tuple[type[BaseModel], ...] = (*get_args(kit.StreamingReq), *get_args(kit.NonStreamingReq))
_KINDS = sorted(str(request.model_fields["type"].default) for request in _REQUESTS)
_UNSUPPORTED = {
    "attachments.create": "attachments are not supported here",
    "attachments.delete": "attachments are not supported here",
    "input.transcribe": "transcription is not supported here",
}

FIELDS = FieldNames(
    frozenset(
        {
            *("type", "params", "metadata", "input", "thread_id", "item_id", "item_ids", "kind", "title", "result"),
            *("limit", "order", "after", "action", "payload", "status", "answers", "values", "skipped"),
            *(
                "content",
                "text",
                "id",
                "data",
                "attachments",
                "quoted_text",
                "inference_options",
                "tool_choice",
                "model",
            ),
        }
    )
)
"""What the package calls them, which is only known to who reads it."""

# Kept: the package makes a new one for each request, for 3 ms.
_requests: TypeAdapter[Any] = TypeAdapter(kit.ChatKitReq)


def parsed(body: dict[str, Any]) -> kit.StreamingReq | kit.NonStreamingReq:
    """Raises `InvalidField`, `RequestValidationError`. Unknown fields are the protocol's own business."""
    kind = body.get("type")
    if kind not in _KINDS:
        raise InvalidField("type", f"must be one of {', '.join(_KINDS)}")
    if kind in _UNSUPPORTED:
        raise InvalidField("type", _UNSUPPORTED[kind])
    try:
        request: kit.StreamingReq | kit.NonStreamingReq = _requests.validate_python(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError([{**item, "loc": ("body", *item["loc"][1:])} for item in found]) from None
    return request
