"""Who answers: providers by name, or the offline model."""

from collections.abc import Callable, Mapping
from functools import partial

from dependency_injector import providers

from chatorch.adapters.models.joined_turns import JoinedTurns
from chatorch.adapters.models.offline import OFFLINE_MODEL, OfflineChatModel
from chatorch.adapters.models.openai.chat_model import TELLING_STATUSES, OpenAIChatModel
from chatorch.adapters.models.openai.defaults import OPENAI_BASE_URL
from chatorch.adapters.models.openai.listing import list_models
from chatorch.adapters.models.router import ModelRouter
from chatorch.adapters.models.upstream.client import HttpClients, require_trust
from chatorch.adapters.models.upstream.deadlines import Deadlines
from chatorch.domain.model.model_names import ModelNames
from chatorch.domain.model.policy import ChatPolicy
from chatorch.entrypoints.container.world import LongLived, World
from chatorch.entrypoints.provider_settings import Provider
from chatorch.entrypoints.settings import Settings
from chatorch.ports.chat_model import ChatModel
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import ModelTelemetry

ChatModels = Mapping[str, Callable[[], ChatModel]]
"""What makes a provider, by its name, the default one first; an empty name is nobody's to say."""


def choose_models(settings: Settings, clock: Clock, telemetry: ModelTelemetry) -> ChatModels:
    if settings.offline:
        return {"": partial(OfflineChatModel, clock)}
    deadlines = Deadlines(settings.first_piece_timeout_s, settings.idle_timeout_s, settings.total_timeout_s)
    clients = HttpClients(error_bodies=TELLING_STATUSES)

    def asking(one: Provider) -> ChatModel:
        model = OpenAIChatModel(
            one.key,
            base_url=one.base_url,
            deadlines=deadlines,
            telemetry=telemetry,
            settings=one.settings,
            http_client=clients.for_url(one.base_url or OPENAI_BASE_URL),
        )
        left_apart = settings.takes_neighbours and not one.takes_neighbours
        return JoinedTurns(model) if left_apart else model

    return {one.name: partial(asking, one) for one in settings.chat_providers}


def one_model(models: ChatModels) -> ChatModel:
    made = {name: make() for name, make in models.items()}
    return made[""] if made.keys() == {""} else ModelRouter(made)


def require_readable_trust(settings: Settings) -> None:
    """Raises `ValueError` with one line that names what of the environment cannot be read."""
    for one in settings.chat_providers:
        require_trust(one.base_url or OPENAI_BASE_URL)


async def listed_models(provider: Provider) -> tuple[str, ...]:
    """Raises `UpstreamError`."""
    return await list_models(provider.key, provider.base_url, provider.settings)


def chat_policy(settings: Settings, models: ChatModels) -> ChatPolicy:
    listing = [one for one in settings.chat_providers if one.models]
    listed = {f"{one.name}:{model}" for one in listing for model in one.models}
    return ChatPolicy(
        default_model=OFFLINE_MODEL if settings.offline else settings.model,
        allowed_models=settings.allowed_models | {settings.model} | listed,
        client_system=settings.client_system,
        max_content_chars=settings.max_content_chars,
        max_tool_result_chars=settings.max_tool_result_chars,
        model_names=ModelNames(tuple(models)),
        closed_providers=frozenset(one.name for one in listing),
    )


class ModelsTopic(World):
    """Another provider is one more name in `chat_models`."""

    chat_models = providers.Singleton(choose_models, World.settings, World.clock, World.telemetry)
    chat_model = providers.Singleton(one_model, chat_models)

    loops: LongLived = ()
    closing: LongLived = (chat_model,)
