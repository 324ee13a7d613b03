"""Who answers: the provider, or the offline model."""

from dependency_injector import providers

from chatorch.adapters.models.offline import OFFLINE_MODEL, OfflineChatModel
from chatorch.adapters.models.openai.chat_model import OpenAIChatModel
from chatorch.adapters.models.openai.defaults import OPENAI_BASE_URL
from chatorch.adapters.models.openai.listing import list_models
from chatorch.adapters.models.upstream.client import require_trust
from chatorch.adapters.models.upstream.deadlines import Deadlines
from chatorch.domain.model.policy import ChatPolicy
from chatorch.entrypoints.container.world import Parts, World
from chatorch.entrypoints.settings import Settings
from chatorch.ports.chat_model import ChatModel
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import ModelTelemetry


def choose_model(settings: Settings, clock: Clock, telemetry: ModelTelemetry) -> ChatModel:
    if settings.offline:
        return OfflineChatModel(clock)
    deadlines = Deadlines(settings.first_piece_timeout_s, settings.idle_timeout_s, settings.total_timeout_s)
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else None
    return OpenAIChatModel(key, base_url=settings.openai_base_url, deadlines=deadlines, telemetry=telemetry)


def require_readable_trust(settings: Settings) -> None:
    """Raises `ValueError` with one line that names what of the environment cannot be read."""
    if not settings.offline:
        require_trust(settings.openai_base_url or OPENAI_BASE_URL)


async def listed_models(settings: Settings) -> tuple[str, ...]:
    """Raises `UpstreamError`."""
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else None
    return await list_models(key, settings.openai_base_url)


def chat_policy(settings: Settings) -> ChatPolicy:
    return ChatPolicy(
        default_model=OFFLINE_MODEL if settings.offline else settings.model,
        allowed_models=settings.allowed_models | {settings.model},
        client_system=settings.client_system,
        max_content_chars=settings.max_content_chars,
    )


class ModelsTopic(World):
    chat_model = providers.Singleton(choose_model, World.settings, World.clock, World.telemetry)

    loops: Parts = ()
    closing: Parts = (chat_model,)
