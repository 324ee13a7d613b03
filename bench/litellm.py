"""LiteLLM's proxy, in a venv of its own: it is there to be compared with, and nothing that this project needs.

Run as its pages on production ask for: one worker, a master key, logs of errors alone, no `.env`; no database, no
callbacks, no telemetry, and nothing fetched at the start. All else is as it comes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

REQUIREMENT = "litellm[proxy]==1.108.7"
ELSEWHERE = "CHATORCH_BENCH_LITELLM"
"""Names the executable of an installation that is to be used instead."""
HOME = Path(__file__).parents[1] / ".bench" / "litellm"
INSTALL_S = 1200.0
KEY = "sk-bench"
ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_TELEMETRY_DISABLED": "True",
}


class LeftOut(Exception):
    """Why LiteLLM is not measured, in a line."""


def executable() -> Path:
    """Where `litellm` is; made the first time."""
    if named := os.environ.get(ELSEWHERE):
        return Path(named).absolute()
    stamp = HOME / ".installed"
    if not stamp.exists() or stamp.read_text() != _stamp():
        print(f"LiteLLM: installing {REQUIREMENT} into {HOME}, which takes minutes, once", flush=True)
        _install()
        stamp.write_text(_stamp())
    return HOME / "bin" / "litellm"


def version(binary: Path) -> str:
    try:
        said = subprocess.run(
            [binary, "--version"], env=environment(), capture_output=True, text=True, timeout=120, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise LeftOut(f"{binary} does not tell its version: {type(error).__name__}") from error
    return said.stdout.strip().rpartition(" ")[2]


def environment() -> dict[str, str]:
    """All of it: of ours, a database's address or a proxy for HTTP would be taken for LiteLLM's own."""
    return {**{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}, **ENVIRONMENT}


def command(binary: Path, port: int, folder: str, origin: str, models: Iterable[str]) -> list[str]:
    """Each of `models` by its name: a pattern would be looked for at each request."""
    behind = {"api_base": f"{origin}/v1", "api_key": "none"}
    config = {
        "model_list": [
            {"model_name": each, "litellm_params": {"model": f"openai/{each}", **behind}} for each in models
        ],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"set_verbose": False, "json_logs": False},
    }
    written = Path(folder, "litellm.yaml")
    written.write_text(json.dumps(config))  # which is YAML too
    where = ["--host", "127.0.0.1", "--port", str(port), "--config", str(written)]
    return [str(binary), *where, "--num_workers", "1"]


def _stamp() -> str:
    """An installation that was interrupted or moved, or is of another release, is made again."""
    return f"{HOME} {REQUIREMENT}\n"


def _install() -> None:
    pip = [HOME / "bin" / "python", "-m", "pip", "install", "--quiet", "--retries", "1", REQUIREMENT]
    # A pip that is set to install for the user, elsewhere or in another way would miss the venv
    kept = {name: value for name, value in os.environ.items() if name not in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")}
    told = {**kept, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for step in ([sys.executable, "-m", "venv", "--clear", HOME], pip):
        try:
            subprocess.run(step, env=told, capture_output=True, text=True, timeout=INSTALL_S, check=True)
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or error.stdout).strip().splitlines() or [f"exit code {error.returncode}"]
            raise LeftOut(f"{REQUIREMENT} could not be installed: {lines[-1].removeprefix('ERROR: ')}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LeftOut(f"{REQUIREMENT} could not be installed: {type(error).__name__}") from error
