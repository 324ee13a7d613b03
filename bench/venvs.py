"""Servers of others, each in a venv of its own: they are there to be compared with, and nothing this project needs."""

import os
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).parents[1] / ".bench"
INSTALL_S = 1200.0


class LeftOut(Exception):
    """Why a server is not measured, in a line."""


def venv(name: str, requirements: tuple[str, ...]) -> Path:
    """The folder `name` of `HOME`, with `requirements` in it; made the first time."""
    home = HOME / name
    stamp = home / ".installed"
    # An installation that was interrupted or moved, or is of other releases, is made again
    wanted = f"{home} {' '.join(requirements)}\n"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"{name}: installing {' '.join(requirements)} into {home}, which takes minutes, once", flush=True)
        _install(home, requirements)
        stamp.write_text(wanted)
    return home


def own_environment() -> dict[str, str]:
    """What a program of others needs of ours: a database's address or a proxy for HTTP would be taken for its own."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def version(python: Path, package: str) -> str:
    """Of what is installed there."""
    asked = f"import importlib.metadata as m; print(m.version({package!r}))"
    try:
        said = subprocess.run([python, "-c", asked], capture_output=True, text=True, timeout=120, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise LeftOut(f"{python} does not tell the version of {package}: {type(error).__name__}") from error
    return said.stdout.strip()


def _install(home: Path, requirements: tuple[str, ...]) -> None:
    pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--retries", "1", *requirements]
    # A pip that is set to install for the user, elsewhere or in another way would miss the venv
    kept = {name: value for name, value in os.environ.items() if name not in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")}
    told = {**kept, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    named = " ".join(requirements)
    for step in ([sys.executable, "-m", "venv", "--clear", home], pip):
        try:
            subprocess.run(step, env=told, capture_output=True, text=True, timeout=INSTALL_S, check=True)
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or error.stdout).strip().splitlines() or [f"exit code {error.returncode}"]
            raise LeftOut(f"{named} could not be installed: {lines[-1].removeprefix('ERROR: ')}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LeftOut(f"{named} could not be installed: {type(error).__name__}") from error
