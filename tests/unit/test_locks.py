"""The locks in `requirements/` go with `pyproject.toml`; `make lock` writes them."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINNED = re.compile(r"^([a-z0-9-]+)==([^ ]+)", re.MULTILINE)

LEANED_ON = {"aiohttp", "asyncpg", "fastapi", "openai", "redis", "uvicorn", "websockets"}
"""Of these more is used than they promise; see test_third_party_internals."""


def text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def locked(name: str) -> dict[str, str]:
    return dict(PINNED.findall(text(name)))


def declared(name: str) -> list[Requirement]:
    groups = PROJECT["dependency-groups"]
    build = [Requirement(line) for line in groups["build"]]
    project = PROJECT["project"]
    extras = [Requirement(line) for lines in project["optional-dependencies"].values() for line in lines]
    run = [each for each in extras if each.name != project["name"]]
    dev = [Requirement(line) for line in groups["dev"] if isinstance(line, str)]
    clients = [Requirement(line) for line in groups["clients"]]
    return {"build": build, "run": run, "clients": clients, "dev": [*build, *run, *dev]}[name]


@pytest.mark.parametrize("name", ["build", "run", "dev", "clients"])
def test_a_lock_has_every_declared_dependency_in_a_version_that_is_declared(name: str):
    pins = locked(name)
    for requirement in declared(name):
        version = pins[canonicalize_name(requirement.name)]
        assert Version(version) in requirement.specifier, f"{requirement} is locked at {version}"


@pytest.mark.parametrize("name", ["build", "run", "dev", "clients"])
def test_a_lock_names_versions_and_hashes_and_no_address(name: str):
    for line in text(name).splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line


def test_who_develops_has_the_versions_that_run():
    assert (locked("run") | locked("build")).items() <= locked("dev").items()


def test_what_is_used_beyond_its_promises_is_admitted_no_further_than_it_was_looked_at():
    found = {
        each.name: {bound.operator for bound in each.specifier} for each in declared("run") if each.name in LEANED_ON
    }
    assert found.keys() == LEANED_ON
    assert [name for name, operators in found.items() if "<" not in operators] == []
