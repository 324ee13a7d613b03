"""TLS to PostgreSQL as libpq's ``sslmode`` and its files say: https://www.postgresql.org/docs/current/libpq-ssl.html."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from chatorch.adapters.sql.libpq import Parameters

MODES = ("prefer", "disable", "allow", "require", "verify-ca", "verify-full")
OPTIONAL = ("prefer", "allow")
SYSTEM = "system"
"""As `sslrootcert`: the roots that the machine trusts."""
_VERSIONS = {name: ssl.TLSVersion[name.replace(".", "_")] for name in ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")}
_FILES = ("sslcert", "sslkey", "sslpassword", "ssl_min_protocol_version", "ssl_max_protocol_version")


@dataclass(frozen=True, slots=True, repr=False)
class Tls:
    """`mode` is libpq's word. `context` is for the modes that insist on it.

    In the others asyncpg tries with and without, and makes its own context of `dsn`.
    """

    mode: str
    context: ssl.SSLContext | None
    direct: bool
    dsn: str | None

    @property
    def for_asyncpg(self) -> ssl.SSLContext | str | bool:
        if self.mode == "disable":
            return False
        return self.context or self.mode


class _Named(ssl.SSLContext):
    """Asks for, and checks, the name that was given, and not the address that was connected to."""

    named: str | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, self.named or server_hostname, session)


def read_tls(given: Parameters, named: str | None = None) -> Tls:
    """`named`: the name that the certificate must have, where it is not what is connected to.

    Raises `ValueError` with one line that names the parameter.
    """
    system = given.text("sslrootcert") == SYSTEM
    mode = given.word("sslmode", *(("verify-full",) if system and not given.text("sslmode") else ()), *MODES)
    if system and mode != "verify-full":
        raise given.refuse("sslrootcert", "may only be system where sslmode is verify-full")
    direct = given.word("sslnegotiation", "postgres", "direct") == "direct"
    if direct and mode in (*OPTIONAL, "disable"):
        raise given.refuse("sslnegotiation", "may only be direct where sslmode is require, verify-ca or verify-full")
    given.only("sslcompression", "0", "1", why="must be 0 or 1")
    given.only("sslsni", "1", why="cannot be switched off here")
    given.only("sslcertmode", "allow", why="can only be allow here")
    if mode == "disable":
        return Tls(mode, None, direct, None)
    context = _context(given, mode)  # also where asyncpg makes one of its own: a file that is wrong is told at once
    if mode not in OPTIONAL:
        context.named = named
        return Tls(mode, context, direct, None)
    query = {name: value for name in _FILES if (value := given.text(name)) is not None}
    return Tls(mode, None, direct, f"postgresql://?{urlencode(query)}" if query else None)


def _context(given: Parameters, mode: str) -> _Named:
    context = _Named(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify-full"
    if mode in OPTIONAL:
        context.verify_mode = ssl.CERT_NONE
    else:
        _trust(context, given, mode)
    _identify(context, given)
    context.minimum_version = _version(given, "ssl_min_protocol_version") or ssl.TLSVersion.TLSv1_2
    if highest := _version(given, "ssl_max_protocol_version"):
        context.maximum_version = highest
    context.set_alpn_protocols(["postgresql"])
    return context


def _trust(context: ssl.SSLContext, given: Parameters, mode: str) -> None:
    """`require` checks the certificate where there is something to check it with, as libpq does."""
    roots = given.text("sslrootcert") or _own("root.crt")
    if roots == SYSTEM:
        context.load_default_certs()
    elif roots:
        _load(given, "sslrootcert", lambda: context.load_verify_locations(cafile=roots))
    elif mode == "require":
        context.verify_mode = ssl.CERT_NONE
        return
    else:
        raise given.refuse("sslmode", f"{mode} needs sslrootcert, the file of the root certificates, or system")
    folder, crl = given.text("sslcrldir"), given.text("sslcrl")
    if folder:
        _load(given, "sslcrldir", lambda: context.load_verify_locations(capath=folder))
    elif crl := crl or _own("root.crl"):
        _load(given, "sslcrl", lambda: context.load_verify_locations(cafile=crl))
    if folder or crl:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _identify(context: ssl.SSLContext, given: Parameters) -> None:
    certificate = given.text("sslcert") or _own("postgresql.crt")
    if certificate:
        key, password = given.text("sslkey") or _own("postgresql.key"), given.text("sslpassword") or ""
        if key and not Path(key).is_file():
            raise given.refuse("sslkey", "names a file that is not there")
        _load(given, "sslcert", lambda: context.load_cert_chain(certificate, key, lambda: password))


def _load(given: Parameters, name: str, load: Callable[[], None]) -> None:
    try:
        load()
    except FileNotFoundError:
        raise given.refuse(name, "names a file that is not there") from None
    except PermissionError:
        raise given.refuse(name, "names a file that cannot be read") from None
    except ssl.SSLError:
        also = ", or sslkey and sslpassword do not fit it" if name == "sslcert" else ""
        raise given.refuse(name, f"names a file that is not what it must be (PEM){also}") from None
    except OSError:
        raise given.refuse(name, "names something that cannot be read") from None


def _version(given: Parameters, name: str) -> ssl.TLSVersion | None:
    return _VERSIONS[given.word(name, *_VERSIONS)] if given.text(name) else None


def _own(name: str) -> str | None:
    """A file in ``~/.postgresql``, where it is there."""
    try:
        path = Path.home() / ".postgresql" / name
        return str(path) if path.is_file() else None
    except (RuntimeError, OSError):
        return None
