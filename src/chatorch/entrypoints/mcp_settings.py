"""MCP servers by name: ``CHATORCH_MCP_SERVERS=files,github`` and settings that hold their names, or a file of TOML."""

import difflib
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode

from chatorch.entrypoints.provider_settings import names_in
from chatorch.entrypoints.setting_types import HttpUrl, Seconds

SERVERS, FILE = "CHATORCH_MCP_SERVERS", "CHATORCH_MCP_FILE"
PREFIX = "CHATORCH_MCP_"
OWN = ("url", "command", "headers", "env", "timeout_s", "approval")
"""What stands behind a server's name in the names of its settings, in capitals; and in its table of the file."""

_NAME = re.compile(r"(?=.{1,32}$)[a-z](?:[a-z0-9-]|_(?!_))*(?<!_)")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must be names of up to 32 small letters, digits, - and single _, such as files,github")
    return value


def _words(value: object) -> object:
    """As a shell would take a command line apart, but for its variables and patterns."""
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError:
        raise ValueError("must be a command line, with each quote closed") from None


def _program(value: tuple[str, ...]) -> tuple[str, ...]:
    if value and (not value[0].strip() or any("\0" in word for word in value)):
        raise ValueError("must begin with a program, and have no NUL in it")
    return value


def _number(value: object) -> object:
    """A file can say true, which is 1 to pydantic."""
    match value:
        case bool():
            raise ValueError("must be a valid number")
    return value


def _lines_by(mark: str, example: str) -> Callable[[object], object]:
    """One a line."""

    def pairs(value: object) -> object:
        if not isinstance(value, str):
            return value
        lines = [line.partition(mark) for line in value.splitlines() if line.strip()]
        if not all(found for _, found, _ in lines):
            raise ValueError(f"must be lines such as {example}")
        return {name.strip(): said.strip() for name, _, said in lines}

    return pairs


def _headers(value: dict[str, SecretStr]) -> dict[str, SecretStr]:
    texts = [secret.get_secret_value() for secret in value.values()]
    if not all(map(_HEADER.fullmatch, value)) or not all(text.isascii() and text.isprintable() for text in texts):
        raise ValueError("must be headers of printable ASCII, such as Authorization: Bearer abc")
    return value


def _variables(value: dict[str, SecretStr]) -> dict[str, SecretStr]:
    if not all(map(_VARIABLE.fullmatch, value)) or any("\0" in secret.get_secret_value() for secret in value.values()):
        raise ValueError("must be variables, such as TOKEN=abc")
    return value


Secrets = dict[str, SecretStr]


class McpServerSettings(BaseModel):
    """One server. `file`: where it stands, None for the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, AfterValidator(_name)]
    file: str | None = None
    url: HttpUrl | None = Field(None, repr=False)
    command: Annotated[tuple[str, ...], BeforeValidator(_words), AfterValidator(_program)] = Field((), repr=False)
    headers: Annotated[
        Secrets, BeforeValidator(_lines_by(":", "Authorization: Bearer abc")), AfterValidator(_headers)
    ] = Field(default_factory=dict)
    env: Annotated[Secrets, BeforeValidator(_lines_by("=", "TOKEN=abc")), AfterValidator(_variables)] = Field(
        default_factory=dict
    )
    timeout_s: Annotated[Seconds, BeforeValidator(_number)] = 60
    approval: Literal["annotated", "declared", "always", "never"] = "annotated"

    def setting(self, own: str) -> str:
        return setting_name(self.name, own, self.file)


def _different(value: tuple[McpServerSettings, ...]) -> tuple[McpServerSettings, ...]:
    """Also as parts of names of settings."""
    if len({setting_name(one.name, "", None) for one in value}) < len(value):
        raise ValueError(f"must be different names, those of {FILE} included, also where - counts as _")
    return value


McpServers = Annotated[tuple[McpServerSettings, ...], NoDecode, BeforeValidator(names_in), AfterValidator(_different)]


def require_placed(servers: Sequence[McpServerSettings]) -> None:
    """Raises `ValueError` where a server is not exactly one of the two kinds."""
    for one in servers:
        url, command = one.setting("url"), one.setting("command")
        if (one.url is None) == (not one.command):
            raise ValueError(f"{url}: must be set, or {command}, and not both")
        if one.command and one.headers:
            raise ValueError(f"{one.setting('headers')}: must not be set beside {command}, which has no headers")
        if one.url is not None and one.env:
            raise ValueError(f"{one.setting('env')}: must not be set beside {url}, which nothing is started for")
        if one.url is not None and _has_user(one.url) and "authorization" in map(str.lower, one.headers):
            raise ValueError(f"{one.setting('headers')}: must not have Authorization beside a user in {url}")


def _has_user(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.username or parts.password)


def setting_name(server: str, own: str, file: str | None) -> str:
    if file is not None:
        return f"{file}: servers.{server}.{own}"
    return f"{PREFIX}{server.replace('-', '_')}_{own}".upper()


def gathered(value: object, file: object, variables: Mapping[str, str | None]) -> Any:
    """The servers that are named, each with its own settings out of `variables` (by name in small letters, where not
    empty), and behind them those of `file`. Raises `OSError`, and `ValueError` with a line about the file."""
    servers = names_in(value)
    if not isinstance(servers, list):
        return servers
    own = [
        one | {own: text for own in OWN if (text := variables.get(setting_name(one["name"], own, None).lower()))}
        for one in servers
    ]
    if not isinstance(file, str) or not file:
        return own
    try:
        return own + _in_file(Path(file), variables)
    except RecursionError:  # of the parser for arrays, of `_filled` for tables
        raise ValueError(f"{FILE}: what the file has is nested too deeply") from None


def _in_file(file: Path, variables: Mapping[str, str | None]) -> list[dict[str, Any]]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError(f"{file}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:  # its text may repeat what stands there
        line = re.search(r"line (\d+)", str(error))
        raise ValueError(f"{file}: is no TOML" + (f" (line {line[1]})" if line else "")) from None
    except ValueError:  # of an integer that Python does not read (sys.set_int_max_str_digits)
        raise ValueError(f"{FILE}: the file has a number of too many digits") from None
    except OSError as error:
        raise ValueError(f"{FILE}: cannot be read ({error.strerror})") from None
    servers = tables.pop("servers", {})
    if tables or not isinstance(servers, dict) or not all(isinstance(one, dict) for one in servers.values()):
        raise ValueError(f"{file}: must have tables [servers.NAME] and nothing else")
    found = []
    for name, given in servers.items():
        if unknown := next((own for own in given if own not in OWN), None):
            raise ValueError(
                f"{setting_name(name, unknown, str(file))}: {_no_setting(unknown, dict(zip(OWN, OWN, strict=True)))}"
            )
        own = {own: _filled(said, setting_name(name, own, str(file)), variables) for own, said in given.items()}
        found.append({"name": name, "file": str(file)} | own)
    return found


def _filled(said: Any, setting: str, variables: Mapping[str, str | None]) -> Any:
    """With what ``${NAME}`` stands for, wherever it stands."""
    match said:
        case str():
            if not all(variables.get(name.lower()) for name in _REFERENCE.findall(said)):
                raise ValueError(f"{setting}: names a variable that is not set")
            return _REFERENCE.sub(lambda found: variables[found[1].lower()] or "", said)
        case list():
            return [_filled(one, setting, variables) for one in said]
        case dict():
            return {name: _filled(one, setting, variables) for name, one in said.items()}
    return said


def name_at(place: Sequence[int | str], value: object) -> str:
    """Which setting is meant by a place in what `gathered` gave."""
    match place, value:
        case [int(index), str(own), *_], list():
            one = value[index]
            if own in OWN:
                return setting_name(one["name"], own, one.get("file"))
            if (file := one.get("file")) is None:
                return SERVERS
            # By its place: a name that is none may be something else that was pasted there.
            return f"{file}: table {sum(other.get('file') == file for other in value[: index + 1])} of [servers.…]"
    return SERVERS


def unknown(name: str, value: object) -> str | None:
    """What is wrong with the name of a variable that begins like a server's setting; None where it is one."""
    servers = names_in(value)
    own = [setting_name(one["name"], own, None) for one in servers for own in OWN] if isinstance(servers, list) else []
    known = {setting.removeprefix(PREFIX): setting for setting in (*own, SERVERS, FILE)}
    short = name.removeprefix(PREFIX)
    if short in known:
        return None
    if short.endswith(tuple(f"_{own.upper()}" for own in OWN)):
        return f"is no setting; {SERVERS} names no such server"
    return _no_setting(short, known)


def _no_setting(name: str, known: Mapping[str, str]) -> str:
    closest = difflib.get_close_matches(name, known, n=1)
    return "is no setting" + (f"; did you mean {known[closest[0]]}?" if closest else "")
