"""What is wrong with Redis, or with the way to it: by a name, and what to do about it.

Nothing of an error's own text is shown: it may quote keys, addresses or passwords.
"""

import re
import socket
import ssl
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from redis.exceptions import AuthenticationError, BusyLoadingError, InvalidResponse, RedisError
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as TimedOut


class Cure(Enum):
    """What helps."""

    WAIT = "wait"
    """It passes, or is mended over there; connections that stand are as good as new ones."""
    REDIAL = "redial"
    """The connection leads to the wrong node, or to one that is not ready: another one may not."""
    MEND = "mend"
    """Somebody has to change a setting here, or rights there. A process that is just starting does not begin."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`name` is Redis's own code in capitals, or ours. `refuses`: Redis is there, and does not do what is asked."""

    name: str
    advice: str
    cure: Cure = Cure.WAIT
    refuses: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.advice}"


class Unusable(Exception):
    """Carries a fault that was found by looking, and not by an error of the library's."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))


CONNECTING = Fault("connecting", "it has not answered yet")
LACKS_RIGHTS = Fault("NOPERM", "its user lacks rights; docs/redis.md has those that suffice", Cure.MEND, refuses=True)
PAUSED = Fault(
    "paused", "its writes wait: it fails over, CLIENT PAUSE holds them, or it has too much to do", refuses=True
)
MOST_LINKS = 10
_CLUSTER = "it is a Redis Cluster, which is not supported; REDIS_URL must lead to a Redis that is no part of one"

_BY_CODE = {
    fault.name: fault
    for fault in (
        Fault("READONLY", "it is a replica; REDIS_URL must lead to the primary", Cure.REDIAL),
        Fault("LOADING", "it is reading its data from disk; it is waited for", Cure.REDIAL),
        Fault("MASTERDOWN", "it is a replica that has lost its primary; REDIS_URL must lead to that", Cure.REDIAL),
        Fault("BUSY", "a script keeps it busy; SCRIPT KILL ends it", Cure.REDIAL),
        Fault("OOM", "its memory is full; raise its maxmemory", refuses=True),
        Fault("MISCONF", "it cannot save to its disk; make room there, or switch saving off", refuses=True),
        Fault("NOREPLICAS", "it has fewer replicas than its min-replicas-to-write", refuses=True),
        Fault("NOAUTH", "it asks for a password; put it into REDIS_URL", Cure.MEND, refuses=True),
        Fault("WRONGPASS", "it refuses the user or the password; see REDIS_URL", Cure.MEND, refuses=True),
        LACKS_RIGHTS,
        *(Fault(code, _CLUSTER, Cure.MEND) for code in ("CLUSTERDOWN", "MOVED", "CROSSSLOT")),
    )
}
_CODE = re.compile(rf"\b({'|'.join((*_BY_CODE, 'NOSCRIPT', 'WRONGTYPE'))})\b")
_RIGHTS = re.compile(r"ACL failure in script|The user executing the script can't|^NOPERM\b")
"""What scripts say of missing rights, since Redis 7 and before, and what single commands say."""

_COMMAND = re.compile(r"run the '([a-z|-]+)' command")

_BY_TEXT = {
    "DB index is out of range": Fault(
        "database_number", "it has no database of this number; see the end of REDIS_URL", Cure.MEND
    ),
    "SELECT is not allowed in cluster mode": Fault("cluster", _CLUSTER, Cure.MEND),
    "max number of clients reached": Fault(
        "max_clients", "it has as many clients as it takes; raise its maxclients", refuses=True
    ),
    "invalid password": _BY_CODE["WRONGPASS"],
    "without any password configured": Fault(
        "WRONGPASS", "it has no password; take the one in REDIS_URL out", Cure.MEND, refuses=True
    ),
    "unknown command": Fault(
        "unknown_command",
        "it lacks commands: it is a Sentinel (write redis+sentinel://), older than 6.2, or they were renamed",
        Cure.MEND,
    ),
    "in protected mode": Fault(
        "protected_mode", "it has no password, so it serves its own machine only; give it one", Cure.MEND
    ),
}
_PROTOCOL = Fault(
    "protocol", "what answers is no Redis, or wants TLS (rediss://); see the address in REDIS_URL", Cure.MEND
)
_WAYS: tuple[tuple[type[BaseException], Fault], ...] = (
    (
        ssl.SSLCertVerificationError,
        Fault("certificate", "its certificate is not trusted; see ssl_ca_certs in docs/redis.md", Cure.MEND),
    ),
    (ssl.SSLError, Fault("tls", "TLS fails: it speaks none (redis://), or wants a certificate of ours", Cure.MEND)),
    (socket.gaierror, Fault("dns", "its name is not known; see REDIS_URL")),
    (ConnectionRefusedError, Fault("refused", "nothing listens at its address")),
    (FileNotFoundError, Fault("no_socket", "its socket file is not there")),
    (PermissionError, Fault("permission", "its socket file may not be opened by this user", Cure.MEND)),
    (InvalidResponse, _PROTOCOL),
    (TimeoutError, Fault("timeout", "it does not answer in time")),
    (TimedOut, Fault("timeout", "it does not answer in time")),
)
_CLOSED = Fault("closed", "it closes the connection")
MISTAKE = Fault("mistake", "it answers with an error that is not known here")
"""A command of ours is wrong, most likely; this says nothing about Redis."""


def fault_of(error: BaseException) -> Fault:
    """Of anything that connecting, or a command, may end in."""
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, Unusable):
            return link.fault
    for link in chain:
        if isinstance(link, RedisError) and (known := _said(link)):
            return known
    for link in chain:
        for kind, fault in _WAYS:
            if isinstance(link, kind):
                return fault
    return _CLOSED if isinstance(error, OSError | ConnectionLost) else MISTAKE


def code_of(error: BaseException) -> str:
    """Which of Redis's it is; of what befell a script, it stands somewhere in the text. Else the error's type."""
    text = f"{getattr(error, 'status_code', None) or ''} {error}".strip()
    if isinstance(error, RedisError) and (found := _CODE.search(text)):
        return found[0]
    return "NOPERM" if lacks_rights(text) else type(error).__qualname__


def lacks_rights(text: str) -> bool:
    return _RIGHTS.search(text) is not None


def lacking(rules: Collection[str]) -> Fault:
    """`rules` are those of Redis's ACL that its user would need."""
    return replace(LACKS_RIGHTS, advice=f"its user lacks {' '.join(rules)}; docs/redis.md has the rights that suffice")


def _said(error: RedisError) -> Fault | None:
    if isinstance(error, BusyLoadingError):
        return _BY_CODE["LOADING"]
    text = str(error)
    for part, fault in _BY_TEXT.items():
        if part in text:
            return fault
    known = _BY_CODE.get(code_of(error))
    if known is None and isinstance(error, AuthenticationError):
        return _BY_CODE["WRONGPASS"]
    if known is LACKS_RIGHTS and (command := _COMMAND.search(text)):
        return lacking([f"+{command[1]}"])
    return known


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was made of; redis-py hides the network's own errors there."""
    for _ in range(MOST_LINKS):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
