"""What a function gives, as text for the model, as progress for people, or as an error that may be shown."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from chatorch.domain.model.facts import require_storable
from chatorch.domain.model.text import storable_text
from chatorch.ports.tools import ToolArgumentsInvalid, ToolError, ToolOutput, ToolProgress

FAILED = "The tool failed."

_ANY: TypeAdapter[Any] = TypeAdapter(Any, config=ConfigDict(ser_json_inf_nan="strings"))


def is_lazy(value: Any) -> bool:
    """Code of the tool's runs as it is read, and that may block."""
    match value:
        case ToolOutput():
            value = value.content
        case ToolProgress():
            value = value.data
    return isinstance(value, Iterator)


def output(value: Any) -> ToolOutput:
    """A text as it is, None as no text, and all else as JSON: models, dataclasses, whatever pydantic has a form for.

    Raises `ToolError` for what it has none for.
    """
    match value:
        case ToolOutput(content=str()):
            return ToolOutput(storable_text(value.content), bool(value.is_error))
        case ToolOutput():
            return ToolOutput(_json(value.content), bool(value.is_error))
        case None:
            return ToolOutput("")
        case str():
            return ToolOutput(storable_text(str.__str__(value)))
    return ToolOutput(_json(value))


def progress(value: Any) -> ToolProgress:
    """Raises `ToolError` for what is no JSON, not even by pydantic, or is none that all stores and clients can hold:
    numbers of more than 64 bits, or what is nested too deeply."""
    data = value.data if isinstance(value, ToolProgress) else value
    try:
        data = _storable(json.loads(_json(data)))
        require_storable({"data": data})
    except Exception as error:
        raise ToolError("The tool's progress is not JSON.") from error
    return ToolProgress(data)


def failure(error: BaseException) -> ToolError:
    """Of a `ToolError` the text, also where a task group has it alone; of another one nothing: that is the cause, for
    the log."""
    said = _alone(error)
    if not isinstance(said, ToolError):
        return _caused(ToolError(FAILED), error)
    try:
        text = str(said)
    except Exception:
        return _caused(ToolError(FAILED), error)
    if said is error and text and text == storable_text(text):
        return said
    kind = ToolArgumentsInvalid if isinstance(said, ToolArgumentsInvalid) else ToolError
    return _caused(kind(storable_text(text) or FAILED), error)


def _alone(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _caused(failed: ToolError, cause: BaseException) -> ToolError:
    failed.__cause__ = cause
    return failed


def _json(value: Any) -> str:
    """A number that JSON does not have is its name as a text."""
    try:
        return _ANY.dump_json(value).decode()
    except Exception as error:
        try:  # with half a character in it
            return json.dumps(_storable(_ANY.dump_python(value, mode="json")), ensure_ascii=False, allow_nan=False)
        except Exception:
            raise ToolError("The tool gave what there is no JSON for.") from error


def _storable(value: Any) -> Any:
    """Of what JSON has."""
    match value:
        case str():
            return storable_text(value)
        case dict():
            return {storable_text(name): _storable(said) for name, said in value.items()}
        case list():
            return [_storable(said) for said in value]
    return value
