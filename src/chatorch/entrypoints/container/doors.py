"""What the doors share, and what is theirs."""

from dependency_injector import providers

from chatorch.domain.services.presence import Presence
from chatorch.entrypoints.common.event_encoder import EventFrames
from chatorch.entrypoints.common.run_responses import RunResponses
from chatorch.entrypoints.common.websocket.sockets import SocketBounds, Sockets
from chatorch.entrypoints.container.identity import IdentityTopic
from chatorch.entrypoints.container.world import LongLived
from chatorch.entrypoints.metrics.scrapes import KEPT_S, Scrapes
from chatorch.entrypoints.ws.socket import PresenceEventFrames, Services
from chatorch.entrypoints.ws.speech import DeviceSpeech


class DoorsTopic(IdentityTopic):
    presence = providers.Singleton(Presence, connections=IdentityTopic.connections, clock=IdentityTopic.clock)
    run_responses = providers.Singleton(
        RunResponses,
        IdentityTopic.runs,
        IdentityTopic.revocation,
        providers.Singleton(EventFrames),
        IdentityTopic.metrics,
        IdentityTopic.clock,
        max_followers=IdentityTopic.settings.provided.max_followers_per_user,
    )
    metrics_kept_s = providers.Object(KEPT_S)
    scrapes = providers.Singleton(Scrapes, IdentityTopic.metrics, IdentityTopic.clock, metrics_kept_s)
    sockets = providers.Singleton(
        Sockets,
        IdentityTopic.identify,
        IdentityTopic.metrics,
        IdentityTopic.clock,
        providers.Factory(
            SocketBounds,
            origins=IdentityTopic.settings.provided.cors_origins,
            of_user=IdentityTopic.settings.provided.max_connections_per_user,
            queued_bytes=IdentityTopic.settings.provided.ws_queue_bytes,
            frames=IdentityTopic.settings.provided.ws_flood_limit,
            first_frame_s=IdentityTopic.settings.provided.ws_auth_deadline_s,
        ),
    )
    device_speech = providers.Singleton(
        DeviceSpeech,
        providers.Factory(
            Services,
            identify=IdentityTopic.identify,
            runs=IdentityTopic.runs,
            presence=presence,
            events=providers.Singleton(EventFrames),
            presence_events=providers.Singleton(PresenceEventFrames),
        ),
    )

    loops: LongLived = (scrapes.provided.keep_sampled, sockets.provided.keep_checked)
    closing: LongLived = ()
