"""What REDIS_URL says: a pool of connections to one Redis, or to whichever one the Sentinels call the primary."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio.connection import BlockingConnectionPool, Connection, ConnectionPool, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chatorch.adapters.redis.sentinels import ANSWER_S, PORT, Followed, FollowedOverTls, Sentinels

COMMAND_S = 1.0
CONNECTIONS = 16

_OURS = ("protocol", "timeout", "decode_responses", "retry_on_timeout", "retry_on_error", "socket_connect_timeout")
_WITH_SENTINELS = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
_FORM = "redis://user:password@host:6379/0, rediss://…, redis+sentinel://host1,host2/service/0 or unix:///path"


@dataclass(frozen=True, slots=True)
class Way:
    """`sentinels` is None where the address is Redis's own."""

    pool: ConnectionPool
    database: int
    sentinels: Sentinels | None = None


def way_to(url: str) -> Way:
    """Raises `ValueError`, in one line that repeats nothing of the URL: any part of it may be of the password."""
    try:
        scheme, _, rest = url.partition("://")
        if scheme in _WITH_SENTINELS:
            return _through_sentinels(_WITH_SENTINELS[scheme], rest)
        _require_number(urlsplit(url).path if scheme != "unix" else "")
        options: dict[str, Any] = dict(parse_url(url))
        pool = _pool(options)
    except (ValueError, TypeError, RedisError):
        raise ValueError(f"REDIS_URL is not a Redis URL; write {_FORM}") from None
    return Way(pool, int(options.get("db", 0)))


def _through_sentinels(scheme: str, rest: str) -> Way:
    place, _, query = rest.partition("?")
    place, _, path = place.partition("/")
    login, at, hosts = place.rpartition("@")
    service, _, number = path.partition("/")
    _require_number(number)
    if not service:
        raise ValueError
    members = dict(parse_qsl(query, keep_blank_values=True))
    own = {name: members.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    options: dict[str, Any] = dict(parse_url(f"{scheme}://{login}{at}host/{number}?{urlencode(members)}"))
    kind, followed = (SSLConnection, FollowedOverTls) if scheme == "rediss" else (Connection, Followed)
    to_sentinels = {name: value for name, value in options.items() if name.startswith(("ssl_", "socket_"))}
    to_sentinels |= _ours(ANSWER_S) | {name: value for name, value in own.items() if value}
    addresses = [_address(each) for each in hosts.split(",")]
    kind(**to_sentinels)  # refuses what it does not know
    sentinels = Sentinels(addresses, unquote(service), kind, to_sentinels)
    options |= {"connection_class": followed, "sentinels": sentinels}
    return Way(_pool(options), int(options.get("db", 0)), sentinels)


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text.strip()}")
    if not parts.hostname or parts.username or parts.path:
        raise ValueError
    return parts.hostname, parts.port or PORT


def _require_number(path: str) -> None:
    number = path.removeprefix("/").removesuffix("/")
    if number and not (number.isascii() and number.isdigit()):
        raise ValueError


def _pool(options: Mapping[str, Any]) -> ConnectionPool:
    """Whoever finds all connections in use waits for one, for as long as the command's own deadline lets it."""
    given = {name: value for name, value in options.items() if name not in _OURS}
    pool = BlockingConnectionPool(**{"max_connections": CONNECTIONS, **given, **_ours(COMMAND_S), "timeout": None})
    pool.make_connection()  # type: ignore[no-untyped-call]
    return pool


def _ours(answer_s: float) -> dict[str, Any]:
    """RESP2, because redis-py logs what is pushed to it over RESP3. Nothing about the driver, which needs a right."""
    return {
        "protocol": 2,
        "driver_info": None,
        "socket_timeout": answer_s,
        "socket_connect_timeout": answer_s,
        "health_check_interval": 0,
        "retry": Retry(NoBackoff(), 0),
    }
