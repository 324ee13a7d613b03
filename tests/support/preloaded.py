"""`chatorch …` in a process that need not import everything first, which is most of what a start costs.

A process forked from one that has imported the service, and nothing else: settings are read, the database is opened,
signals are taken, and all the rest happens in the process itself, as in one that a shell starts.
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from chatorch.entrypoints.doors import DOORS

_fork = multiprocessing.get_context("forkserver")
_fork.set_forkserver_preload(
    [
        "uvloop",
        "uvicorn.protocols.http.httptools_impl",
        "chatorch.entrypoints.app",
        *(f"chatorch.entrypoints.{listed.name}.door" for listed in DOORS if listed.name != "chatkit"),
        "chatorch.entrypoints.cli",
        "chatorch.entrypoints.process.server",
        "tests.support.preloaded",
        "tests.support.frozen",
    ]
)


class PreloadedProcess:
    """As much of `subprocess.Popen` as is needed of it. Standard output and error are appended to `log`."""

    def __init__(self, arguments: list[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> None:
        self._process = _fork.Process(target=_main, args=(arguments, dict(env), cwd, log), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("chatorch", timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _main(arguments: list[str], env: dict[str, str], cwd: Path, log: Path) -> None:
    """In a process group of its own, as a shell does with a command."""
    os.setpgid(0, 0)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    multiprocessing.process._parent_process = None  # it is nobody's worker
    multiprocessing.current_process()._config["daemon"] = False  # and may have some
    sys.argv = ["chatorch", *arguments]
    from chatorch.entrypoints.cli import main

    main()
