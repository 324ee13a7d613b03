"""ChatKit where OpenAI hosts it. Nothing else knows of it."""

from typing import TYPE_CHECKING

from dependency_injector import providers

from chatorch.adapters.chatkit_hosted.provider import OpenAIChatKit, SessionOptions
from chatorch.adapters.chatkit_hosted.telemetry import PrometheusSessionTelemetry
from chatorch.adapters.sql.chatkit_hosted import SqlChatKitSessionStore
from chatorch.domain.services.chatkit_hosted.history import HostedHistory
from chatorch.domain.services.chatkit_hosted.sessions import ChatKitOffer, ChatKitSessions
from chatorch.entrypoints.container.world import LongLived, World
from chatorch.entrypoints.settings import Settings

if TYPE_CHECKING:
    from chatorch.entrypoints.chatkit_hosted.needs import Needs


def hosted_chatkit(settings: Settings) -> OpenAIChatKit:
    key = settings.openai_api_key if settings.chatkit_missing is None else None
    options = SessionOptions(
        life_s=settings.chatkit_session_life_s,
        requests_per_minute=settings.chatkit_requests_per_minute,
        file_upload=settings.chatkit_file_upload,
        max_files=settings.chatkit_max_files,
        max_file_mb=settings.chatkit_max_file_mb,
        history=settings.chatkit_history,
        recent_threads=settings.chatkit_recent_threads,
    )
    return OpenAIChatKit(
        key.get_secret_value() if key else None,
        settings.openai_base_url,
        options=options,
        deadline_s=settings.chatkit_timeout_s,
    )


class Topic(World):
    session_telemetry = providers.Singleton(PrometheusSessionTelemetry, World.registry, World.telemetry)
    chatkit_session_store = providers.Singleton(SqlChatKitSessionStore, World.database)
    chatkit = providers.Singleton(hosted_chatkit, World.settings)
    chatkit_offer = providers.Singleton(
        ChatKitOffer,
        workflows=World.settings.provided.chatkit_workflows,
        missing=World.settings.provided.chatkit_missing,
        life_s=World.settings.provided.chatkit_session_life_s,
        refresh_window_s=World.settings.provided.chatkit_refresh_window_s,
        max_sessions=World.settings.provided.chatkit_sessions_per_user,
    )
    chatkit_sessions = providers.Singleton(
        ChatKitSessions,
        chatkit=chatkit,
        store=chatkit_session_store,
        clock=World.clock,
        ids=World.ids,
        spawner=World.spawner,
        telemetry=session_telemetry,
        offer=chatkit_offer,
    )
    chatkit_history = providers.Singleton(HostedHistory, threads=chatkit, offer=chatkit_offer)

    loops: LongLived = (chatkit_sessions.provided.keep_tidy,)
    closing: LongLived = (chatkit,)


if TYPE_CHECKING:

    def met(given: Topic) -> Needs:
        """For mypy: it has what the door takes of it."""
        return given
