"""`.env.example` is the operator's list of settings: it must be whole, and true."""

import re
from pathlib import Path

from chatorch.entrypoints.settings import PREFIX, Settings

LINES = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8").splitlines()
ASSIGNMENT = re.compile(r"#?(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)")
SECRET = "s" * 32


def examples() -> list[tuple[str, str]]:
    return [match.group("name", "value") for line in LINES if (match := ASSIGNMENT.fullmatch(line))]


def fields_by_name() -> dict[str, str]:
    """A setting's name in the environment, and its field's."""
    fields = Settings.model_fields.items()
    return {str(info.validation_alias or PREFIX + field.upper()): field for field, info in fields}


def test_every_setting_is_in_the_example_once_and_nothing_else_is():
    assert sorted(name for name, _ in examples()) == sorted(fields_by_name())


def test_the_values_in_the_example_are_the_defaults():
    fields = fields_by_name()
    given = {fields[name]: value for name, value in examples() if value}
    assert Settings(**(given | {"secret_key": SECRET})) == Settings(secret_key=SECRET)


def test_a_value_is_left_out_only_where_there_is_no_default():
    fields = fields_by_name()
    for name, value in examples():
        field = Settings.model_fields[fields[name]]
        assert (value == "") == (field.is_required() or field.default in (None, frozenset(), ())), name


def test_every_setting_has_one_line_that_explains_it():
    for before, line in zip(["", *LINES], LINES, strict=False):
        if ASSIGNMENT.fullmatch(line):
            assert before.startswith("# "), line


def test_the_example_holds_no_secret():
    assert [value for name, value in examples() if name.endswith(("KEY", "TOKEN"))] == ["", "", ""]
