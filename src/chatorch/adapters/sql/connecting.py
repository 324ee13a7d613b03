"""One connection to PostgreSQL, to the first host of its address that is fit; for the pool, for the lock, for all."""

import os
import random
import socket
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from chatorch.adapters.sql.causes import NotConnected
from chatorch.adapters.sql.errors import is_outage
from chatorch.adapters.sql.libpq import Parameters, name_of_this_user
from chatorch.adapters.sql.tls import Tls, read_tls

CONNECT_TIMEOUT = 5.0
SILENT_FOR = 60.0
NAME = "chatorch"
_SOCKETS = ("/run/postgresql", "/var/run/postgresql", "/tmp", "localhost")  # noqa: S108  # where servers put them
MAX_FOLDER_BYTES = 107 - len("/.s.PGSQL.65535")
_SESSIONS = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")


@dataclass(frozen=True, slots=True)
class Host:
    """`where` is a name, an IP address or the folder of a socket."""

    where: str
    port: int
    tls: Tls


@dataclass(frozen=True, slots=True)
class Probes:
    """TCP keepalive as tcp(7) has it, in seconds, and `user_timeout` in milliseconds; None leaves the machine's."""

    on: bool
    idle: int | None
    interval: int | None
    count: int | None
    user_timeout: int | None

    def set_on(self, connection: Any) -> None:
        """A no-op on a Unix socket."""
        # asyncpg has no other way to its socket
        found = connection._transport.get_extra_info("socket")  # noqa: SLF001
        if found is None or found.family == socket.AF_UNIX:
            return
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(self.on))
        for option, value in (
            (socket.TCP_KEEPIDLE, self.idle),
            (socket.TCP_KEEPINTVL, self.interval),
            (socket.TCP_KEEPCNT, self.count),
            (socket.TCP_USER_TIMEOUT, self.user_timeout),
        ):
            if value and value > 0:
                found.setsockopt(socket.IPPROTO_TCP, option, value)


@dataclass(frozen=True, slots=True, repr=False)
class PostgresAddress:
    """Where a database is, and how to be let in. `pooled` says whether a pooler is in between; None is unknown."""

    hosts: tuple[Host, ...]
    database: str
    user: str
    password: str | None
    passfile: str | None
    connect_timeout: float | None
    name: str
    options: str | None
    session: str
    random_host: bool
    probes: Probes
    kerberos: dict[str, str]
    pooled: bool | None
    silent: dict[Host, float] = field(default_factory=dict, compare=False)
    """Hosts that let the last attempt run out of time, and when that was."""

    async def connect(self, suffix: str = "", **options: Any) -> Any:
        """An asyncpg connection. `suffix` is added to the name that the server knows us by.

        As libpq: the next host is tried where one is not reached, is starting, or is not in the wanted state; who is
        refused there is refused. But one that did not answer in time comes last for `SILENT_FOR` seconds: a heartbeat
        cannot wait for it each time. Raises what asyncpg raises, `OSError` among it, and `NotConnected`.
        """
        hosts = random.sample(self.hosts, len(self.hosts)) if self.random_host else self.hosts
        lately = time.monotonic() - SILENT_FOR
        hosts = sorted(hosts, key=lambda host: self.silent.get(host, lately) > lately)
        failure: Exception = ConnectionError()
        for session in ("standby", "any") if self.session == "prefer-standby" else (self.session,):
            for host in hosts:
                try:
                    return await self._to(host, session, suffix, options)
                except (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched) as error:
                    failure = error
                    if isinstance(error, TimeoutError):
                        self.silent[host] = time.monotonic()
                except asyncpg.PostgresError as error:
                    if is_outage(error):
                        raise
                    raise NotConnected from error
        raise failure

    async def _to(self, host: Host, session: str, suffix: str, options: dict[str, Any]) -> Any:
        connection = await asyncpg.connect(
            host.tls.dsn,
            host=host.where,
            port=host.port,
            user=self.user,
            password=self.password,
            passfile=self.passfile,
            database=self.database,
            timeout=self.connect_timeout,
            ssl=host.tls.for_asyncpg,
            direct_tls=host.tls.direct,
            target_session_attrs=session,
            server_settings={
                "application_name": self.name + suffix,
                **({"options": self.options} if self.options else {}),
            },
            **self.kerberos,
            **options,
        )
        self.probes.set_on(connection)
        return connection


def read_address(url: str) -> PostgresAddress:
    """Raises `ValueError` with one line that names the parameter and repeats no value."""
    given = Parameters(url)
    _refuse_what_is_not_here(given)
    user = given.text("user") or name_of_this_user()
    if user is None:
        raise ValueError(
            "DATABASE_URL names no user, and neither has this process's user id a name: "
            "write postgresql://user:password@host/name"
        )
    database = given.text("dbname")
    if database is None:
        raise ValueError("DATABASE_URL names no database, as in postgresql://user:password@host/name")
    seconds = given.number("connect_timeout")
    return PostgresAddress(
        hosts=_hosts(given),
        database=database,
        user=user,
        password=given.text("password"),
        passfile=_passfile(given),
        connect_timeout=CONNECT_TIMEOUT if seconds is None else (seconds if seconds > 0 else None),
        name=given.text("application_name") or given.text("fallback_application_name") or NAME,
        options=given.text("options"),
        session=given.word("target_session_attrs", *_SESSIONS),
        random_host=given.word("load_balance_hosts", "disable", "random") == "random",
        probes=Probes(
            on=given.flag("keepalives") is not False,
            idle=given.number("keepalives_idle", 32_767),
            interval=given.number("keepalives_interval", 32_767),
            count=given.number("keepalives_count", 127),
            user_timeout=given.number("tcp_user_timeout"),
        ),
        kerberos={name: value for name in ("krbsrvname", "gsslib") if (value := given.text(name))},
        pooled=given.flag("pgbouncer"),
    )


def _hosts(given: Parameters) -> tuple[Host, ...]:
    names, addresses = _list(given, "host"), _list(given, "hostaddr")
    if names and addresses and len(names) != len(addresses):
        raise given.refuse("hostaddr", "must have as many entries as host")
    if not all(map(_is_host, names)):
        raise given.refuse("host", "must be a name, an address, or the folder of a socket")
    ports = [_port(given, port) for port in _list(given, "port")] or [5432]
    count = max(len(names), len(addresses)) or len(_SOCKETS)
    if len(ports) == 1:
        ports *= count
    if len(ports) != count:
        raise given.refuse("port", "must have one entry, or as many as host")
    tls = read_tls(given)
    if not addresses:
        return tuple(Host(name, port, tls) for name, port in zip(names or _SOCKETS, ports, strict=True))
    return tuple(
        Host(address or name or "localhost", port, read_tls(given, name) if address and name else tls)
        for name, address, port in zip(names or [""] * count, addresses, ports, strict=True)
    )


def _list(given: Parameters, name: str) -> list[str]:
    text = given.text(name)
    return [part.strip() for part in text.split(",")] if text else []


def _passfile(given: Parameters) -> str | None:
    """Raises `ValueError` for one that would not count, since others may read it."""
    name = given.text("passfile")
    try:
        mode = Path(name).stat().st_mode if name else None
    except OSError:
        return name  # as libpq: it may come later
    if mode is not None and (not stat.S_ISREG(mode) or mode & (stat.S_IRWXG | stat.S_IRWXO)):
        raise given.refuse("passfile", "names what is no file, or one that others may read; chmod 600")
    return name


def _is_host(name: str) -> bool:
    """What the DNS, or the address of a socket (unix(7)), can have."""
    if name.startswith("/"):
        return len(os.fsencode(name)) <= MAX_FOLDER_BYTES
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def _port(given: Parameters, port: str) -> int:
    if not port:
        return 5432
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise given.refuse("port", "must be a number from 1 to 65535")
    return int(port)


def _refuse_what_is_not_here(given: Parameters) -> None:
    given.only("channel_binding", "prefer", "disable", why="cannot be required: the driver does not bind channels")
    given.only("gssencmode", "prefer", "disable", why="cannot be required: the driver does not encrypt by GSSAPI")
    given.only("gssdelegation", "0", why="cannot be used here")
    given.only("require_auth", why="cannot be used here; leave it out, and use sslmode=verify-full")
    given.only("requirepeer", why="cannot be used here")
    given.only("replication", "false", "off", "no", "0", why="is not for a client like this")
    given.only("client_encoding", "auto", "utf8", "UTF8", "utf-8", "UTF-8", why="can only be UTF8 here")
    given.only("min_protocol_version", "3.0", why="can only be 3.0: the driver speaks nothing newer")
    given.only("max_protocol_version", "latest", "3.0", "3.2", why="must be latest, 3.0 or 3.2")
