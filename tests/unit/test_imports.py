"""What import-linter's contracts cannot say of themselves: that their lists are whole."""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from chatorch.entrypoints.doors import DOORS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "chatorch"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = {contract["name"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
IMPORT = re.compile(r"^ *(?:from (\w+)[\w.]* import |import (\w+)(?:[\w.]*|[\w.]* as \w+)$)", re.MULTILINE)
OURS = {*sys.stdlib_module_names, "chatorch"}


def imported_by(folder: Path) -> Iterator[tuple[str, str]]:
    """File and top-level module, also where only a function imports it, or only mypy."""
    for path in folder.rglob("*.py"):
        for found in IMPORT.finditer(path.read_text(encoding="utf-8")):
            yield path.name, found[1] or found[2]


@pytest.mark.parametrize("folder", ["domain", "ports"])
def test_only_the_standard_library_is_imported(folder: str):
    foreign = {
        found for found in imported_by(PACKAGE / folder) if found[1] not in {*sys.stdlib_module_names, "chatorch"}
    }
    assert foreign == set()


def test_the_rule_names_every_module_that_is_imported_anywhere_or_that_a_dependency_brings():
    named = set(CONTRACTS["Domain and ports use the standard library only"]["forbidden_modules"])
    imported = {module for _, module in imported_by(PACKAGE)} - OURS
    assert imported <= named

    project = PROJECT["project"]
    extras = [line for lines in project.get("optional-dependencies", {}).values() for line in lines]
    declared = {canonicalize_name(Requirement(line).name) for line in (*project["dependencies"], *extras)} - {
        "chatorch"
    }
    files = (file for name in declared for file in distribution(name).files or ())
    brought = {file.parts[0] for file in files if file.name == "__init__.py" and len(file.parts) == 2}
    assert brought <= named


def test_every_door_on_the_list_is_a_layer_of_its_own():
    layers = CONTRACTS["Doors stand side by side on what they share, and the process knows none of them"]["layers"]
    beside = {name.strip().strip("()") for layer in layers if "metrics" in layer for name in layer.split("|")}
    assert beside == {listed.name for listed in DOORS}
