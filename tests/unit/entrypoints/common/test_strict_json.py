"""Objects that are too wide, before anybody walks them."""

import json
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError

from chatorch.entrypoints.common.strict_json import MAX_INNER_NAMES, STRICT, Strictness, parse_json

DOOR = Strictness(max_names=64, max_member_names=64)


def wide(names: int) -> dict[str, int]:
    return {f"h{number}": number for number in range(names)}


def refused(value: Any, strictness: Strictness = STRICT) -> tuple[Any, ...]:
    with pytest.raises(RequestValidationError) as caught:
        parse_json(json.dumps(value).encode(), strictness)
    [error] = caught.value.errors()
    assert "names" in error["msg"]
    return error["loc"][1:]


def test_an_object_of_too_many_names_is_refused_wherever_it_is():
    many = wide(MAX_INNER_NAMES + 1)
    assert refused({"headers": many}) == ("headers",)
    assert refused({"a": [1, {"b": [[many]]}]}) == ("a", 1, "b", 0, 0)
    assert refused([{"x": "::"}, {"y": {"z": many}}]) == (1, "y", "z")


def test_as_many_as_metadata_can_have_are_taken():
    for value in ({"metadata": wide(MAX_INNER_NAMES)}, {"a": [":" * 9000, {"b": ":" * 9000}]}, ":" * 9000):
        assert parse_json(json.dumps(value).encode()) == value


def test_a_door_may_have_a_bound_of_its_own_for_members():
    assert parse_json(json.dumps({"metadata": wide(64)}).encode(), DOOR)
    assert refused({"metadata": wide(65)}, DOOR) == ("metadata",)
    assert parse_json(json.dumps({"form": {"schema": wide(65)}}).encode(), DOOR)
