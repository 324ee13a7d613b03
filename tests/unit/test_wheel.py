"""The wheel: what it asks for, and what it does where nothing but it is installed."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXTRAS = ("server", "postgres", "redis", "chatkit", "mcp")
ADVICE = "chatorch: the service is not installed: pip install 'chatorch[server]'\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `pip wheel` builds it, by the same hook."""
    folder = tmp_path_factory.mktemp("wheel")
    build = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=ROOT, check=True, capture_output=True, timeout=60)
    [built] = folder.glob("chatorch-*.whl")
    return built


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel in it, and nothing else: there is no index to find more in."""
    folder = tmp_path_factory.mktemp("bare")
    uv = [Path(sys.executable).with_name("uv"), "--quiet", "--offline", "--no-cache", "--no-config"]
    subprocess.run([*uv, "venv", "--python", sys.executable, folder], check=True, timeout=60)
    subprocess.run([*uv, "pip", "install", "--python", folder, "--no-index", wheel], check=True, timeout=60)
    return folder / "bin"


def run(*command: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


def test_without_an_extra_it_asks_for_nothing(wheel: Path):
    with zipfile.ZipFile(wheel) as files:
        [name] = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(files.read(name).decode())
    asked = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    assert [str(each) for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})] == []
    assert set(metadata.get_all("Provides-Extra")) == set(EXTRAS)
    of = {extra: {each.name for each in asked if each.marker.evaluate({"extra": extra})} for extra in EXTRAS}
    added = {extra: names - of["server"] for extra, names in of.items()}
    own = {
        "postgres": {"asyncpg"},
        "redis": {"redis"},
        "chatkit": {"openai-chatkit"},
        "mcp": {"anyio", "mcp", "mcp-types"},
    }
    assert added == {"server": set(), **own}
    assert all(of["server"] <= names for names in of.values()), "what adds to the service brings it along"


def test_whatever_it_asks_for_has_a_bound_at_each_end():
    asked = [Requirement(line) for extra in PROJECT["optional-dependencies"].values() for line in extra]
    for each in asked:
        if each.name != "chatorch":
            assert {"<", ">="} == {bound.operator for bound in each.specifier}, f"{each}"


def test_the_example_of_the_domain_alone_runs_on_it(bare: Path):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = run(bare / "python", "-I", "-", stdin=example)
    assert done.returncode == 0, done.stderr
    assert "".join(re.findall(r"text='(.*?)'", done.stdout)) == "NOTHING IS LOST "


@pytest.mark.parametrize(
    "command",
    [
        ("chatorch",),
        ("chatorch", "--help"),
        ("chatorch", "serve", "--workers", "2"),
        ("python", "-I", "-m", "chatorch"),
    ],
)
def test_a_command_says_in_one_line_what_to_install(bare: Path, command: tuple[str, ...]):
    done = run(bare / command[0], *command[1:])
    assert (done.returncode, done.stdout, done.stderr) == (2, "", ADVICE)


@pytest.mark.parametrize("module", ["app", "settings", "chatkit.route"])
def test_whoever_imports_the_service_is_told_so_too(bare: Path, module: str):
    importing = f"try: import chatorch.entrypoints.{module}\nexcept ImportError as error: print('chatorch:', error)"
    assert run(bare / "python", "-I", "-c", importing).stdout == ADVICE
