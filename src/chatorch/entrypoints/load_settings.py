"""The only reader of the environment and of ``.env``."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from chatorch.entrypoints import mcp_settings, provider_settings
from chatorch.entrypoints.env_syntax import ENV_ENCODING, broken_lines
from chatorch.entrypoints.provider_settings import PROVIDERS
from chatorch.entrypoints.settings import PREFIX, Settings

DOCTOR_TOKEN = "CHATORCH_DOCTOR_TOKEN"  # noqa: S105  # where one may be
"""Of a command, and no setting."""
ENV_FILE = Path(".env")
_NAMED = {"providers": provider_settings.name_at, "mcp_servers": mcp_settings.name_at}


class SettingsError(Exception):
    """The settings are wrong. `lines` has one for each wrong setting: its name and the problem, never its value."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


def load_settings(env_file: Path | None = ENV_FILE) -> Settings:
    """The environment over `env_file` over the defaults; an empty value counts as unset. Raises `SettingsError`."""
    try:
        if broken := broken_lines(env_file):
            raise SettingsError(tuple(f"{env_file}: line {line} is not NAME=value" for line in broken))
        values = {
            **_source(env_file, dotenv_filtering="only_existing", env_ignore_empty=True)(),
            **EnvSettingsSource(Settings, env_ignore_empty=True)(),
        }
        if "providers" in values:
            values["providers"] = provider_settings.with_own(values["providers"], _variables(env_file))
        if {"mcp_servers", "mcp_file"} & values.keys():
            servers, file = values.get("mcp_servers", ""), values.get("mcp_file")
            values["mcp_servers"] = mcp_settings.gathered(servers, file, _variables(env_file))
    except OSError as error:
        raise SettingsError((f"{env_file}: cannot be read ({error.strerror})",)) from None
    except UnicodeDecodeError:
        raise SettingsError((f"{env_file}: is not UTF-8 text",)) from None
    except ValueError as error:  # of the file of MCP servers
        raise SettingsError((str(error),)) from None
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(_lines(error, values)) from None


def _source(env_file: Path | None, **options: Any) -> DotEnvSettingsSource:
    return DotEnvSettingsSource(Settings, env_file, env_file_encoding=ENV_ENCODING, **options)


def _variables(env_file: Path | None) -> dict[str, str | None]:
    """All that are not empty, the environment's before the file's. Their names in small letters."""
    sources = (_source(env_file) if env_file else None, EnvSettingsSource(Settings))
    return {name: value for source in sources if source for name, value in source.env_vars.items() if value}


def unknown_settings(env_file: Path | None = ENV_FILE) -> list[str]:
    """One line for each ``CHATORCH_`` name in the environment or `env_file` that is no setting, with the closest."""
    known = {_env_name(field).removeprefix(PREFIX): _env_name(field) for field in Settings.model_fields}
    from_file = _source(env_file).env_vars if env_file else {}
    given = {name.upper() for name in (*os.environ, *from_file)}
    variables = _variables(env_file)
    named = {
        provider_settings.PREFIX: (provider_settings.unknown, variables.get(PROVIDERS.lower())),
        mcp_settings.PREFIX: (mcp_settings.unknown, variables.get(mcp_settings.SERVERS.lower(), "")),
    }
    lines = []
    for name in sorted(name for name in given - set(known.values()) - {DOCTOR_TOKEN} if name.startswith(PREFIX)):
        if family := next((named[prefix] for prefix in named if name.startswith(prefix)), None):
            unknown, names = family
            lines += [f"{name}: {problem}"] if (problem := unknown(name, names)) else []
            continue
        closest = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
        lines.append(f"{name}: is no setting" + (f"; did you mean {known[closest[0]]}?" if closest else ""))
    return lines


def _env_name(field: str) -> str:
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else PREFIX + field.upper()


def _lines(error: ValidationError, values: Mapping[str, object]) -> tuple[str, ...]:
    lines: dict[str, str] = {}
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        problem = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        if not item["loc"]:
            name, _, problem = problem.partition(": ")
        else:
            place, *within = item["loc"]
            name = _env_name(str(place)) if place in Settings.model_fields else str(place)
            if within and place in _NAMED:
                name = _NAMED[place](within, values.get(str(place)))
        if item["type"] == "missing":
            problem = "must be set; `chatorch init` writes a .env with one, or add what `openssl rand -hex 32` prints"
        lines.setdefault(name, f"{name}: {problem}")
    return tuple(lines.values())
