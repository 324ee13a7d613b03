"""A PostgreSQL address as libpq takes it: a connection URI, a service file, the environment, in this order.

See https://www.postgresql.org/docs/current/libpq-connect.html. What cannot be had here is refused by its name; a value
is never repeated, since any of them may be a secret.
"""

import configparser
import os
import pwd
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

T = TypeVar("T")

MAX_INT = 2**31 - 1
"""libpq's numbers are C's."""

_URI = (
    r"[\w+]+://(?:(?P<user>[^:/@]*)(?::(?P<password>%s))?@)?"
    r"(?P<hosts>[^/?@]*)(?:/(?P<dbname>[^?]*))?(?:\?(?P<query>.*))?"
)
_STRICT = re.compile(_URI % "[^@/]*", re.DOTALL)
_LENIENT = re.compile(_URI % "[^@]*", re.DOTALL)
"""libpq wants a slash in a password written as %2F; not everybody knows."""
_HOST = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]*))?")

_ENVIRONMENT = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "require_auth": "PGREQUIREAUTH",
    "channel_binding": "PGCHANNELBINDING",
    "service": "PGSERVICE",
    "servicefile": "PGSERVICEFILE",
    "options": "PGOPTIONS",
    "application_name": "PGAPPNAME",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcertmode": "PGSSLCERTMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslsni": "PGSSLSNI",
    "requirepeer": "PGREQUIREPEER",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
}
_KNOWN = {
    *_ENVIRONMENT,
    *("fallback_application_name", "client_encoding", "keepalives", "keepalives_idle", "keepalives_interval"),
    *("keepalives_count", "tcp_user_timeout", "replication", "sslpassword", "sslcompression", "gssdelegation"),
    *("min_protocol_version", "max_protocol_version", "pgbouncer"),
}
_OTHER_NAMES = {"ssl": "sslmode", "database": "dbname"}
"""SQLAlchemy's and asyncpg's own names for them."""


class Parameters:
    """The parameters by libpq's names, each with where it was given. An empty value counts as not given."""

    def __init__(self, url: str) -> None:
        """Raises `ValueError` with one line: no URI, a parameter that is unknown, or a service that is not there."""
        self._values: dict[str, str] = {}
        self._places: dict[str, str] = {}
        self._add(_of_uri(url), "DATABASE_URL: {}")
        self._add({name: os.environ.get(_ENVIRONMENT[name], "") for name in ("service", "servicefile")}, "")
        if service := self.text("service"):
            self._add(_of_service(service, self.text("servicefile")), "the service that DATABASE_URL names: {}")
        self._add({name: os.environ.get(variable, "") for name, variable in _ENVIRONMENT.items()}, "")

    def text(self, name: str) -> str | None:
        return self._values.get(name)

    def place(self, name: str) -> str:
        """Who says so, for the beginning of a refusal."""
        return self._places.get(name, "DATABASE_URL: {}").format(repr(name))

    def refuse(self, name: str, problem: str) -> ValueError:
        return ValueError(f"{self.place(name)} {problem}")

    def word(self, name: str, *words: str) -> str:
        """One of `words`; the first where nothing is given."""
        value = self._values.get(name, words[0])
        if value not in words:
            raise self.refuse(name, f"must be {' or '.join(words)}")
        return value

    def number(self, name: str, most: int = MAX_INT) -> int | None:
        value = self._read(name, int, "must be a whole number")
        if value is not None and not -MAX_INT <= value <= most:
            raise self.refuse(name, f"must be at most {most}")
        return value

    def flag(self, name: str) -> bool | None:
        return self._read(name, {"1": True, "true": True, "0": False, "false": False}.__getitem__, "must be 1 or 0")

    def only(self, name: str, *words: str, why: str) -> None:
        """Refuses everything but `words`, because of `why`."""
        if self._values.get(name, words[0] if words else "") not in (words or ("",)):
            raise self.refuse(name, why)

    def _read(self, name: str, read: Callable[[str], T], problem: str) -> T | None:
        value = self._values.get(name)
        if value is None:
            return None
        try:
            return read(value.strip())
        except (ValueError, KeyError):
            raise self.refuse(name, problem) from None

    def _add(self, values: Mapping[str, str], place: str) -> None:
        """What was given before stays. Raises `ValueError` for what no message to a server can hold."""
        for name, value in values.items():
            if value and name not in self._values:
                self._values[name] = value
                self._places[name] = place or _ENVIRONMENT[name]
                if "\0" in value or not _is_unicode(value):
                    raise self.refuse(name, "must be UTF-8 text without NUL")


def _of_uri(url: str) -> dict[str, str]:
    found = _STRICT.fullmatch(url)
    if found is None or _hosts_of(found["hosts"]) is None or (not found["user"] and "@" in (found["dbname"] or "")):
        found = _LENIENT.fullmatch(url)
    if found is None or (hosts := _hosts_of(found["hosts"])) is None:
        raise ValueError("DATABASE_URL is not a database URL; write postgresql://user:password@host:port/name")
    given = {name: unquote(found[name] or "") for name in ("user", "password", "dbname")}
    given["host"], given["port"] = hosts
    for pair in filter(None, (found["query"] or "").split("&")):
        name, equals, value = (unquote(part) for part in pair.partition("="))
        name = _OTHER_NAMES.get(name, name)
        if name not in _KNOWN:
            raise ValueError(f"DATABASE_URL: {name!r} is not a parameter for PostgreSQL here")
        if not equals:
            raise ValueError(f"DATABASE_URL: {name!r} has no value; write {name}=...")
        given[name] = value
    if given.get("sslmode") == "true":
        given["sslmode"] = "require"  # as JDBC says it: libpq takes it too
    return given


def _hosts_of(written: str) -> tuple[str, str] | None:
    """Names and ports of ``host:port,host:port``, each joined by commas; None where it is something else."""
    parts = [_HOST.fullmatch(part) for part in written.split(",")]
    names, ports = [], []
    for part in parts:
        if part is None:
            return None
        names.append(unquote(part["host"]).strip("[]"))
        ports.append(part["port"] or "")
    return ",".join(names).strip(","), ",".join(ports) if any(ports) else ""


def _of_service(name: str, file: str | None) -> dict[str, str]:
    """What the file says of this service. Raises `ValueError` where it says nothing."""
    path = Path(file) if file else _home() / ".pg_service.conf"
    services = configparser.ConfigParser(interpolation=None)
    try:
        services.read(path, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        raise ValueError("DATABASE_URL: 'service': its file cannot be read") from None
    if not services.has_section(name):
        raise ValueError("DATABASE_URL: 'service': there is no service of this name in its file")
    given = {_OTHER_NAMES.get(key, key): value for key, value in services[name].items()}
    for key in given:
        if key not in _KNOWN - {"service", "servicefile"}:
            raise ValueError(f"the service that DATABASE_URL names: {key!r} is not a parameter for PostgreSQL here")
    return given


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _home() -> Path:
    try:
        return Path.home()
    except (RuntimeError, KeyError):
        return Path("/nonexistent")


def name_of_this_user() -> str | None:
    """What libpq takes for a user where none is named; None in a container whose uid has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return None
