"""Where the server listens: an address and port, a unix socket, or a socket that somebody else has opened for it."""

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatorch.entrypoints.process.stopping import at_the_end

BACKLOG = 2048
UNREAD_MS = 90_000
"""How long sent bytes may stay unacknowledged before the kernel breaks the connection (tcp(7))."""
DEAD = frozenset({errno.ECONNREFUSED, errno.ENOENT})
FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


class ServeRefused(Exception):
    """The server was not started. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen: on `fd` where it is given, else on the unix socket `uds` where that is, else on a port."""

    host: str = "127.0.0.1"
    port: int = 8000
    uds: Path | None = None
    uds_mode: int = 0o660
    fd: int | None = None

    def open(self) -> socket.socket:
        """Raises `ServeRefused`."""
        if self.fd is not None and self.uds is not None:
            raise ServeRefused("--uds and --fd exclude each other")
        if self.fd is not None:
            listener = _adopted(self.fd)
        elif self.uds is not None:
            listener = _on_file(self.uds.absolute(), self.uds_mode)
        else:
            listener = _on_port(self.host, self.port)
        listener.set_inheritable(True)
        if listener.family != socket.AF_UNIX:
            # Accepted sockets inherit it. Without it, one whose client reads nothing stays for as long as it likes.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
        return listener


def told(listener: socket.socket) -> dict[str, object]:
    """Where it listens, for the log."""
    address = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return {"uds": os.fsdecode(address)}
    return {"host": address[0], "port": address[1]}


def _on_port(host: str, port: int) -> socket.socket:
    family, address = _resolved(host, port)
    try:
        # All addresses are those of IPv4 too.
        return socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=address[0] == "::")
    except OSError as error:
        why = {
            errno.EADDRINUSE: "is in use already; choose another --port",
            errno.EACCES: "needs more rights; choose a --port above 1023",
            errno.EADDRNOTAVAIL: "is no address of this machine; choose another --host",
        }.get(error.errno or 0, f"cannot be listened on ({os.strerror(error.errno or 0)})")
        raise ServeRefused(f"{f'[{host}]' if ':' in host else host}:{port} {why}") from None


def _resolved(host: str, port: int) -> tuple[int, Any]:
    """Family and address: of a name that has both kinds, IPv4. No name is all addresses of IPv4."""
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)  # noqa: S104
    except (socket.gaierror, UnicodeError):
        raise ServeRefused("--host: must be an address such as 0.0.0.0 or ::, or a name that can be resolved") from None
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address


def _on_file(path: Path, mode: int) -> socket.socket:
    """The file goes when the process ends, unless it is another one's by then. Who may not write may not connect."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        with _one_at_a_time(path.parent):
            _remove_if_dead(path)
            before = os.umask(0o777 & ~mode)  # no moment in which it is open to more
            try:
                listener.bind(str(path))
            finally:
                os.umask(before)
            listener.listen(BACKLOG)
            made = path.stat()
    except OSError as error:
        listener.close()
        raise ServeRefused(f"--uds: {path} cannot be listened on ({error.strerror or error})") from None
    except BaseException:
        listener.close()
        raise
    owner = os.getpid()

    def remove() -> None:
        with suppress(OSError):
            if os.getpid() == owner and os.path.samestat(path.stat(), made):
                path.unlink()

    at_the_end(remove)
    return listener


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Of two that start at once, the second one must not take the first one's file for one that a dead one left."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _remove_if_dead(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ServeRefused(f"--uds: {path} is there already, and no socket; choose another one")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        if probe.connect_ex(str(path)) not in DEAD:
            raise ServeRefused(f"--uds: {path} is in use already; choose another one")
    path.unlink()


def _adopted(number: int) -> socket.socket:
    """As systemd and others hand it over (sd_listen_fds(3): the first one is 3)."""
    try:
        is_socket = stat.S_ISSOCK(os.fstat(number).st_mode)
    except (OSError, OverflowError):
        raise ServeRefused(f"--fd: {number} is not open; it must be the number of a listening socket") from None
    if not is_socket:
        raise ServeRefused(f"--fd: {number} is no socket")
    listener = socket.socket(fileno=number)
    if listener.type != socket.SOCK_STREAM or listener.family not in FAMILIES:
        listener.detach()
        raise ServeRefused(f"--fd: {number} is no stream socket")
    try:
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener.listen(BACKLOG)
    except OSError as error:
        listener.detach()
        raise ServeRefused(f"--fd: {number} cannot be listened on ({error.strerror})") from None
    return listener
