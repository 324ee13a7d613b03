"""Providers of models by name: ``CHATORCH_PROVIDERS=main,local``, and for each some settings that hold its name."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode

from chatorch.domain.model.model_names import ModelNames
from chatorch.domain.model.upstream_errors import SettingNames
from chatorch.entrypoints.setting_types import HeaderSecret, HttpUrl, Names

PROVIDERS = "CHATORCH_PROVIDERS"
PREFIX = "CHATORCH_PROVIDER_"
OWN = ("base_url", "api_key", "models")
"""What stands behind a provider's name in the names of its settings, in capitals."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Provider:
    """One to ask, as its settings come out. An empty name: it is the only one, and nobody gave it any.

    `base_url` is None for OpenAI itself; `models` are those that clients may name; `settings`: what they are called.
    """

    name: str
    base_url: str | None = field(repr=False)
    api_key: SecretStr | None
    models: frozenset[str]
    settings: SettingNames

    @property
    def key(self) -> str | None:
        return self.api_key.get_secret_value() if self.api_key else None

    @property
    def takes_neighbours(self) -> bool:
        """Whether it is known to take several messages of one role in a row: OpenAI itself is."""
        return self.base_url is None or urlsplit(self.base_url).hostname == "api.openai.com"


OPENAI_SETTINGS = SettingNames(address="OPENAI_BASE_URL", key="OPENAI_API_KEY", model="CHATORCH_MODEL")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must be names of up to 32 small letters, digits, - and _, such as main,local")
    return value


class ProviderSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, AfterValidator(_name)]
    base_url: HttpUrl | None = Field(None, repr=False)
    api_key: HeaderSecret | None = None
    models: Names = frozenset()

    @property
    def is_placed(self) -> bool:
        """Whether its own settings say whom to ask."""
        return self.base_url is not None or self.api_key is not None

    def env_name(self, own: str) -> str:
        return env_name(self.name, own)

    def or_else(self, usual: Provider, *, is_default: bool) -> Provider:
        """To ask: by its own settings, and by none of `usual` beside them, or by those of `usual` alone."""
        if not self.is_placed:
            return replace(usual, name=self.name, models=self.models)
        settings = SettingNames(
            self.env_name("base_url"),
            self.env_name("api_key"),
            OPENAI_SETTINGS.model if is_default else self.env_name("models"),
        )
        return Provider(self.name, self.base_url, self.api_key, self.models, settings)


def names_in(value: object) -> object:
    """``main,local`` as providers that have no settings of their own."""
    if not isinstance(value, str):
        return value
    return [{"name": name} for name in (part.strip() for part in value.split(",")) if name]


def _different(value: tuple[ProviderSettings, ...]) -> tuple[ProviderSettings, ...]:
    """Also as parts of names of settings."""
    if len({one.env_name("") for one in value}) < len(value):
        raise ValueError("must be different names, also where - counts as _")
    return value


Providers = Annotated[tuple[ProviderSettings, ...], NoDecode, BeforeValidator(names_in), AfterValidator(_different)]


def require_placed(providers: Sequence[ProviderSettings], *, usual: bool) -> None:
    """Raises `ValueError` where nothing says whom to ask. `usual`: OpenAI's own settings do, for the first."""
    for place, one in enumerate(providers):
        if one.is_placed or (usual and place == 0):
            continue
        instead = " (or OPENAI_BASE_URL or OPENAI_API_KEY)" if place == 0 else ""
        key = one.env_name("api_key")
        raise ValueError(f"{one.env_name('base_url')}: must be set, or {key}{instead}, as {PROVIDERS} names it")


def require_models(providers: Sequence[ProviderSettings], setting: str, models: Iterable[str]) -> None:
    """Raises `ValueError` where one of these is a provider's name and a colon alone."""
    if providers:
        names = ModelNames(tuple(one.name for one in providers))
        if not all(names.find(model).model for model in models):
            raise ValueError(f"{setting}: names a provider, and no model behind its colon")


def env_name(provider: str, own: str) -> str:
    return f"{PREFIX}{provider.replace('-', '_')}_{own}".upper()


def with_own(value: object, variables: Mapping[str, str | None]) -> Any:
    """`names_in`, each with its own settings out of `variables`: by name in small letters, where not empty."""
    providers = names_in(value)
    if not isinstance(providers, list):
        return providers
    return [
        one | {own: text for own in OWN if (text := variables.get(env_name(one["name"], own).lower()))}
        for one in providers
    ]


def name_at(place: Sequence[int | str], value: object) -> str:
    """Which setting is meant by a place in what `with_own` gave."""
    match place, value:
        case [int(index), str(own)], list() if own in OWN:
            return env_name(value[index]["name"], own)
    return PROVIDERS


def unknown(name: str, value: object) -> str | None:
    """What is wrong with the name of a variable that begins like a provider's setting; None where it is one."""
    known = own_settings(value)
    short = name.removeprefix(PREFIX)
    if short in known:
        return None
    if short.endswith(tuple(f"_{own.upper()}" for own in OWN)):
        return f"is no setting; {PROVIDERS} names no such provider"
    closest = difflib.get_close_matches(short, known, n=1)
    return "is no setting" + (f"; did you mean {known[closest[0]]}?" if closest else "")


def own_settings(value: object) -> dict[str, str]:
    """The names of all settings that providers of these names have, by what is behind the prefix."""
    providers = names_in(value)
    names = [env_name(one["name"], own) for one in providers for own in OWN] if isinstance(providers, list) else []
    return {name.removeprefix(PREFIX): name for name in names}
