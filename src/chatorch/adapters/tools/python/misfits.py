"""What a model is told about arguments that do not fit: where, and what must be there, but never what was."""

from collections.abc import Collection

from pydantic import ValidationError

MOST = 8
"""Problems told at once: with these mended, the next call tells more."""

_OF_THE_SCHEMA = frozenset({
    *("bool_parsing", "bool_type", "bytes_too_long", "bytes_too_short", "bytes_type", "dataclass_type", "date_future"),
    *("date_from_datetime_inexact", "date_past", "date_type", "datetime_future", "datetime_past", "datetime_type"),
    *("decimal_max_digits", "decimal_max_places", "decimal_parsing", "decimal_type", "decimal_whole_digits"),
    *("dict_type", "enum", "finite_number", "float_parsing", "float_type", "fraction_parsing", "frozen_set_type"),
    *("greater_than", "greater_than_equal", "int_from_float", "int_parsing", "int_parsing_size", "int_type"),
    *("less_than", "less_than_equal", "list_type", "literal_error", "model_type", "multiple_of", "named_tuple_type"),
    *("none_required", "set_type", "string_not_ascii", "string_pattern_mismatch", "string_too_long"),
    *("string_too_short", "string_type", "time_delta_type", "time_type", "timezone_aware", "timezone_naive"),
    *("too_long", "too_short", "tuple_type", "url_scheme", "url_too_long", "url_type", "uuid_type", "uuid_version"),
})  # fmt: skip
"""Of pydantic's kinds of errors those whose message is filled in with what the schema says, and with nothing else."""
_BEFORE_COMMA = frozenset({
    *("date_from_datetime_parsing", "date_parsing", "datetime_from_date_parsing", "datetime_parsing"),
    *("time_delta_parsing", "time_parsing", "url_parsing", "uuid_parsing"),
})  # fmt: skip
"""Those that first say what must be there, and then, behind a comma, what was."""


def told(error: ValidationError, names: Collection[str]) -> str:
    """One line. `names` are all that the schema has: another one is of the model's making, so it is what was given."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    problems = tuple(dict.fromkeys(_problem(each["loc"], each["type"], each["msg"], names) for each in errors))
    more = f"; and {len(problems) - MOST} more" if len(problems) > MOST else ""
    return f"The arguments do not fit. {'; '.join(problems[:MOST])}{more}"


def _problem(loc: tuple[int | str, ...], kind: str, message: str, names: Collection[str]) -> str:
    if kind == "extra_forbidden":
        return f"{_path(loc[:-1], names)}: has a member that the schema does not have"
    return f"{_path(loc, names)}: {_told(kind, message)}"


def _path(loc: tuple[int | str, ...], names: Collection[str]) -> str:
    """As in ``address.lines[2]``, without keys of dictionaries, and without members of unions."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" if step in names else "" for step in loc)
    return "".join(steps).removeprefix(".") or "the object"


def _told(kind: str, message: str) -> str:
    if kind == "missing":
        return "is missing"
    if kind == "json_invalid":
        return "is not JSON"
    if kind == "union_tag_invalid":
        return "is of no kind that the schema has"
    if kind in _BEFORE_COMMA:
        message = message.partition(",")[0]
    elif kind not in _OF_THE_SCHEMA:  # a validator's own words may quote what it was given
        return "is not valid"
    return message.replace("Input should ", "must ", 1)
