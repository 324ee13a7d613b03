"""What a function takes: the schema of it that a model is shown, and its arguments made of what a model gives."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature, signature
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from chatorch.adapters.tools.python.misfits import told
from chatorch.adapters.tools.python.unusable import UnusableTool
from chatorch.domain.model.identity import Principal
from chatorch.ports.tools import ToolArgumentsInvalid, ToolContext

Arguments = tuple[list[Any], dict[str, Any]]
"""By position, and by name."""

_CONFIG = ConfigDict(extra="forbid", hide_input_in_errors=True)
_VARIADIC = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}


@dataclass(frozen=True, slots=True)
class _Taken:
    """A parameter. `field` is its in the model; None is where the context goes."""

    name: str
    field: str | None
    by_position: bool
    default: Any

    @property
    def is_optional(self) -> bool:
        """The function has a value of its own for it, which is none of pydantic's declarations."""
        return self.default is not Parameter.empty and not isinstance(self.default, FieldInfo)


class Parameters:
    """Of a function's. Raises `UnusableTool` where a model cannot be told what it takes.

    An argument is whatever pydantic makes of JSON for the annotation, in its lax mode: ``"3"`` is an integer, too.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        hints = _hints(function)
        self._taken: list[_Taken] = []
        fields: dict[str, Any] = {}
        for number, given in enumerate(_signature(function).parameters.values()):
            if given.kind in _VARIADIC:
                raise UnusableTool(f"it takes {_VARIADIC[given.kind]}{given.name}: each parameter must have a name")
            hint = hints.get(given.name, Any)
            field = None if _is_context(hint) else f"p{number}"  # a name of its own could be one that pydantic needs
            self._taken.append(_Taken(given.name, field, given.kind is Parameter.POSITIONAL_ONLY, given.default))
            if field is not None:
                declared: Any = Annotated[hint, Field(alias=given.name)]
                fields[field] = declared if given.default is Parameter.empty else (declared, given.default)
        self._model, self.schema = _modelled(fields)
        self._names = frozenset(_names(self.schema))

    def arguments(self, given: Mapping[str, Any], context: ToolContext) -> Arguments:
        """Raises `ToolArgumentsInvalid` for what does not fit, and whatever a validator of the author's raises that
        is no `ValueError`."""
        try:
            text = json.dumps(dict(given), allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise ToolArgumentsInvalid("The arguments are not JSON") from None
        try:
            model = self._model.model_validate_json(text)
        except ValidationError as error:
            raise ToolArgumentsInvalid(told(error, self._names)) from None
        by_position: list[Any] = []
        by_name: dict[str, Any] = {}
        for taken in self._taken:
            if taken.field is None:
                value: Any = context
            elif taken.field in model.model_fields_set or not taken.is_optional:
                value = getattr(model, taken.field)
            elif taken.by_position:
                value = taken.default
            else:
                continue
            if taken.by_position:
                by_position.append(value)
            else:
                by_name[taken.name] = value
        return by_position, by_name


class _Schema(GenerateJsonSchema):
    """Without titles that only repeat names, and quiet about defaults that JSON does not have."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  # as pydantic declares it

    def dataclass_schema(self, schema: Any) -> JsonSchemaValue:
        if schema["cls"] in (ToolContext, Principal):
            name = schema["cls"].__name__
            raise UnusableTool(
                f"a model must not say who is asking: nothing but a parameter of ToolContext has a {name}"
            )
        return super().dataclass_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def _signature(function: Callable[..., Any]) -> Signature:
    try:
        return signature(function)
    except (TypeError, ValueError):
        raise UnusableTool("it has no signature") from None


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations, also where they are text."""
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        name = f": {error.name} is not known in its module" if error.name else ""
        raise UnusableTool(f"its annotations cannot be read{name}") from error
    except Exception as error:
        raise UnusableTool(f"its annotations cannot be read ({type(error).__name__})") from error


def _is_context(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return _is_context(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return any(map(_is_context, get_args(hint)))
    return hint is ToolContext


def _modelled(fields: dict[str, Any]) -> tuple[type[BaseModel], dict[str, Any]]:
    try:
        return _model(fields)
    except UnusableTool:
        raise
    except Exception as error:
        name = _culprit(fields)
        what = f"its parameter {name} has a type" if name else "its parameters have types"
        raise UnusableTool(f"{what} that JSON has no schema for ({type(error).__name__})") from error


def _model(fields: dict[str, Any]) -> tuple[type[BaseModel], dict[str, Any]]:
    model = create_model("Arguments", __config__=_CONFIG, **fields)
    schema = model.model_json_schema(schema_generator=_Schema)
    schema.pop("title", None)
    schema.setdefault("properties", {})
    return model, schema


def _culprit(fields: dict[str, Any]) -> str | None:
    """The first that there is no schema for by itself."""
    for name, field in fields.items():
        try:
            _model({name: field})
        except Exception:
            hint = field[0] if isinstance(field, tuple) else field
            return str(get_args(hint)[-1].alias)
    return None


def _names(schema: Any) -> Iterator[str]:
    """Of all members of all objects in a schema."""
    if isinstance(schema, Mapping):
        if isinstance(properties := schema.get("properties"), Mapping):
            yield from properties
        for within in schema.values():
            yield from _names(within)
    elif isinstance(schema, list):
        for within in schema:
            yield from _names(within)
