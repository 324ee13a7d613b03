"""What a setting may be: each type takes the text of the environment, and says what is wrong with it.

A message never repeats the value, which may be a secret.
"""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints
from pydantic_settings import NoDecode

from chatorch.domain.model.tool_policy import tool_rules
from chatorch.entrypoints.common.origins import allowed_origin
from chatorch.entrypoints.common.proxies import trusted_proxy

SWITCHED_DOORS = ("openai", "ai_sdk", "ag_ui", "ws", "chatkit", "chatkit_hosted")
"""The doors that an operator may leave out; our own API and the metrics are always there."""
MIN_SECRET_BYTES = 32
HOURS = 876_000
"""A hundred years: what a clock can add to now."""
MOST = 10**12
"""More than there is of anything, and less than what some part of the service cannot count to."""
_KEY_PREFIX = re.compile(r"[A-Za-z0-9:._/{}-]{1,100}")
"""What begins keys and channels, and is no pattern in Redis's access rules."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [part for part in (part.strip() for part in value.split(",")) if part]


def _long_enough(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value().encode("utf-8", "surrogateescape")) < MIN_SECRET_BYTES:
        raise ValueError(f"must have at least {MIN_SECRET_BYTES} bytes, such as what `openssl rand -hex 32` prints")
    return value


def _fits_into_header(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be printable ASCII without spaces")
    return SecretStr(text)


def _database_url(value: str) -> str:
    if value.partition("://")[0].partition("+")[0] not in {"sqlite", "postgresql", "postgres"}:
        raise ValueError("must begin with sqlite:// or postgresql://")
    return value


def _redis_url(value: str) -> str:
    if value.partition("://")[0] not in {"redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"}:
        raise ValueError("must begin with redis://, rediss://, unix:// or redis+sentinel://")
    return value


def _key_prefix(value: str) -> str:
    if not _KEY_PREFIX.fullmatch(value):
        raise ValueError("must be up to 100 letters, digits and any of : . _ / { } -, such as shop:chat:")
    return value


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_web = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        is_web = is_web and value.isprintable() and " " not in value  # which nobody could be asked at (RFC 3986, 2)
    except ValueError:  # its text repeats the value
        is_web = False
    if not is_web:
        raise ValueError("must be an http:// or https:// address")
    return value


def _door_names(value: frozenset[str]) -> frozenset[str]:
    if not value <= set(SWITCHED_DOORS):
        raise ValueError(f"must be some of {', '.join(SWITCHED_DOORS)}")
    return value


def _origins(value: frozenset[str]) -> frozenset[str]:
    return frozenset(map(allowed_origin, value))


def _proxies(value: frozenset[str]) -> frozenset[str]:
    return frozenset(map(trusted_proxy, value))


def _header_names(value: frozenset[str]) -> frozenset[str]:
    if not all(_HEADER_NAME.fullmatch(name) for name in value):
        raise ValueError("must be *, or names of headers such as X-Tenant, separated by commas")
    return value


def _workflows(value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(name.replace("_", "").replace("-", "").isalnum() and name.isascii() for name in value):
        raise ValueError("must be ids of workflows, such as wf_123, separated by commas")
    return tuple(dict.fromkeys(value))


def _tool_rules(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        tool_rules(value)
    except ValueError:  # its text repeats the value
        raise ValueError("must be names of tools, such as search,github__*,admin:shell, separated by commas") from None
    return value


Trimmed = Annotated[str, StringConstraints(strip_whitespace=True)]
"""Files that secrets are kept in mostly end with a line break."""
Names = Annotated[frozenset[str], NoDecode, BeforeValidator(_split)]
HeaderNames = Annotated[Names, AfterValidator(_header_names)]
DoorNames = Annotated[Names, AfterValidator(_door_names)]
Origins = Annotated[Names, AfterValidator(_origins)]
Proxies = Annotated[Names, AfterValidator(_proxies)]
Workflows = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_workflows)]
ToolRules = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_tool_rules)]
SigningKey = Annotated[SecretStr, AfterValidator(_long_enough)]
HeaderSecret = Annotated[SecretStr, AfterValidator(_fits_into_header)]
DatabaseUrl = Annotated[Trimmed, AfterValidator(_database_url)]
RedisUrl = Annotated[Trimmed, AfterValidator(_redis_url)]
KeyPrefix = Annotated[str, AfterValidator(_key_prefix)]
HttpUrl = Annotated[Trimmed, AfterValidator(_http_url)]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"], BeforeValidator(lambda v: v.lower() if isinstance(v, str) else v)
]
Seconds = Annotated[float, Field(gt=0, le=HOURS * 3600, allow_inf_nan=False)]
MaybeSeconds = Annotated[float, Field(ge=0, le=HOURS * 3600, allow_inf_nan=False)]
"""0 where it is not wanted at all."""
WholeSeconds = Annotated[int, Field(gt=0, le=HOURS * 3600)]
Days = Annotated[float, Field(ge=0, le=HOURS / 24, allow_inf_nan=False)]
Hours = Annotated[float, Field(ge=0, le=HOURS, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=MOST)]
