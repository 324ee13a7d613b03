"""What the doors take from the container is in it: mypy holds the types, and cannot hold the names."""

from importlib import import_module

import pytest

from chatorch.entrypoints.container import Container
from chatorch.entrypoints.doors import DOORS
from chatorch.entrypoints.settings import Settings

MODULES = ("common.needs", "common.run_responses", *(f"{listed.name}.needs" for listed in DOORS))


@pytest.mark.parametrize("module", MODULES)
def test_the_container_has_what_a_door_needs(module: str):
    needed = import_module(f"chatorch.entrypoints.{module}").Needs
    names = {name for name in vars(needed) if not name.startswith("_")}
    assert names
    assert names <= Container(settings=Settings(secret_key="s" * 32)).providers.keys()
