"""One provider of models: what it lists, and whether a model of it begins to answer."""

from collections.abc import Iterable
from contextlib import aclosing
from urllib.parse import urlsplit

from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import Role
from chatorch.domain.model.model_names import ANY_MODEL, ModelNames
from chatorch.domain.model.upstream_errors import UpstreamError, UpstreamInvalid
from chatorch.entrypoints.container import Container
from chatorch.entrypoints.provider_settings import Provider, env_name
from chatorch.entrypoints.settings import Settings
from chatorch.ports.chat_model import Prompt

ALLOWED = "CHATORCH_ALLOWED_MODELS"
NO_LIST = frozenset({404, 405, 501})
"""With these a server answers that speaks chat completions only."""


async def models_of(container: Container, provider: Provider) -> str:
    try:
        names = await container.listed_models()(provider)
    except UpstreamError as error:
        if error.status in NO_LIST:
            return "it lists none, as some servers do"
        raise
    words = f"it lists {len(names)}"
    for setting, models in models_named(container.settings(), provider).items():
        if setting == ALLOWED or not models:
            continue
        if models <= set(names):
            words += f", {setting} among them"
        else:
            words += f"; {setting} is not among them, which some servers do not mind"
    return words


async def token_of(container: Container, provider: Provider) -> str:
    named = models_named(container.settings(), provider)
    model = next((model for models in named.values() for model in sorted(models)), None)
    if model is None:
        return f"nothing is asked, as {env_name(provider.name, 'models')} names no model"
    name = f"{provider.name}:{model}" if provider.name else model
    prompt = Prompt(name, (PromptMessage(Role.USER, "Say: ok"),), "doctor")
    try:
        async with aclosing(container.chat_model().stream(prompt)) as pieces:
            async for _ in pieces:
                break
    except UpstreamError as error:
        path = urlsplit(provider.base_url or "/v1").path.rstrip("/")
        if (isinstance(error, UpstreamInvalid) or error.status in NO_LIST) and not path.endswith("/v1"):
            error.cause = f"{provider.settings.address} of most servers ends in /v1, and this one does not"
        raise
    return "the model begins to answer"


def models_named(settings: Settings, provider: Provider) -> dict[str, frozenset[str]]:
    """Which models of a provider each setting names, the default one's first."""
    known = ModelNames(tuple(one.name for one in settings.chat_providers))

    def its(names: Iterable[str]) -> frozenset[str]:
        return frozenset(at.model for at in map(known.find, names) if at.provider == provider.name) - {ANY_MODEL}

    return {
        "CHATORCH_MODEL": its([settings.model]),
        env_name(provider.name, "models"): provider.models - {ANY_MODEL},
        ALLOWED: its(settings.allowed_models),
    }
