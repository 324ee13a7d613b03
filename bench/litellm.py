"""LiteLLM's proxy, in a venv of its own.

Run as its pages on production ask for: one worker, a master key, logs of errors alone, no `.env`; no database, no
callbacks, no telemetry, and nothing fetched at the start. All else is as it comes.
"""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from bench.venvs import LeftOut, own_environment, venv

REQUIREMENT = "litellm[proxy]==1.108.7"
ELSEWHERE = "CHATORCH_BENCH_LITELLM"
"""Names the executable of an installation that is to be used instead."""
KEY = "sk-bench"
ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_TELEMETRY_DISABLED": "True",
}


def executable() -> Path:
    """Where `litellm` is; made the first time."""
    if named := os.environ.get(ELSEWHERE):
        return Path(named).absolute()
    return venv("litellm", (REQUIREMENT,)) / "bin" / "litellm"


def version(binary: Path) -> str:
    try:
        said = subprocess.run(
            [binary, "--version"], env=environment(), capture_output=True, text=True, timeout=120, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise LeftOut(f"{binary} does not tell its version: {type(error).__name__}") from error
    return said.stdout.strip().rpartition(" ")[2]


def environment() -> dict[str, str]:
    """All of it."""
    return {**own_environment(), **ENVIRONMENT}


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
