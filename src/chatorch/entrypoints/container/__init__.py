"""The one composition root: which adapter stands behind which port, and what every service is given.

Override a provider to swap an adapter: ``Container(settings=…, chat_model=providers.Object(fake))``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dependency_injector import containers, providers
from prometheus_client import CollectorRegistry

from chatorch.adapters.argon2_passwords import Argon2PasswordHasher
from chatorch.adapters.jwt_tokens import JwtTokenSigner
from chatorch.adapters.memory.connections import MemoryConnections
from chatorch.adapters.memory.noticeboard import MemoryNoticeboard
from chatorch.adapters.memory.run_log import MemoryRunLog
from chatorch.adapters.memory.run_relay import MemoryRunRelay
from chatorch.adapters.offline_model import OFFLINE_MODEL, OfflineChatModel
from chatorch.adapters.openai.chat_model import OpenAIChatModel
from chatorch.adapters.openai.chatkit import OpenAIChatKit, SessionOptions
from chatorch.adapters.openai.deadlines import Deadlines
from chatorch.adapters.redis.connections import RedisConnections
from chatorch.adapters.redis.link import RedisLink
from chatorch.adapters.redis.noticeboard import RedisNoticeboard
from chatorch.adapters.redis.run_log import RedisRunLog
from chatorch.adapters.redis.run_relay import RedisRunRelay
from chatorch.adapters.sql import (
    SqlRunProgress,
    SqlRunStore,
    SqlSessionStore,
    SqlThreadItemStore,
    SqlThreadNoteStore,
    SqlThreadStore,
    SqlUserStore,
    StoreLock,
    migrate,
    open_database,
    open_lock,
)
from chatorch.adapters.system import SystemClock, TaskSpawner, TimeOrderedIds
from chatorch.adapters.telemetry import PrometheusTelemetry
from chatorch.domain.model.context import ContextWindow
from chatorch.domain.model.policy import ChatPolicy
from chatorch.domain.services.accounts import Accounts
from chatorch.domain.services.authentication import Authentication
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.executions import Executions, ExecutionSettings
from chatorch.domain.services.hosted import HostedHistory
from chatorch.domain.services.items import Items
from chatorch.domain.services.live import Live
from chatorch.domain.services.recovery import Recovery
from chatorch.domain.services.runs import Runs
from chatorch.domain.services.sessions import ChatKitOffer, Sessions
from chatorch.entrypoints.envelope import envelope
from chatorch.entrypoints.fleet import Fleet, server_name
from chatorch.entrypoints.http.answers import Answers
from chatorch.entrypoints.http.sse import EventFrames
from chatorch.entrypoints.lifetime import Part, lifetime
from chatorch.entrypoints.loop_lag import sample_loop_lag
from chatorch.entrypoints.metrics import Metrics
from chatorch.entrypoints.settings import Settings
from chatorch.entrypoints.signals import leave_with_parent
from chatorch.entrypoints.ws.socket import Behind, NoticeFrames
from chatorch.entrypoints.ws.sockets import Sockets
from chatorch.ports.chat_model import ChatModel
from chatorch.ports.connections import Connections
from chatorch.ports.noticeboard import Noticeboard
from chatorch.ports.run_log import RunLog
from chatorch.ports.run_relay import RunRelay
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import ModelTelemetry


def _chat_model(settings: Settings, clock: Clock, telemetry: ModelTelemetry) -> ChatModel:
    if settings.offline:
        return OfflineChatModel(clock)
    deadlines = Deadlines(settings.first_piece_timeout_s, settings.idle_timeout_s, settings.total_timeout_s)
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else None
    return OpenAIChatModel(key, base_url=settings.openai_base_url, deadlines=deadlines, telemetry=telemetry)


def _chatkit(settings: Settings) -> OpenAIChatKit:
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


def _tokens(settings: Settings) -> JwtTokenSigner:
    secret = settings.secret_key.get_secret_value()
    return JwtTokenSigner(secret, issuer=settings.token_issuer, audience=settings.token_audience)


def _policy(settings: Settings) -> ChatPolicy:
    return ChatPolicy(
        default_model=OFFLINE_MODEL if settings.offline else settings.model,
        allowed_models=settings.allowed_models | {settings.model},
        client_system=settings.client_system,
        max_content_chars=settings.max_content_chars,
    )


def _store_lock(settings: Settings) -> StoreLock:
    """With Redis, processes share the store, and leases decide; without, one process has it to itself."""
    return open_lock(settings.database_url, shared=settings.redis_url is not None)


@dataclass(frozen=True, slots=True)
class Between:
    """What processes tell each other through. `parts` are started in this order, and closed in the other one.

    `redis_up` says whether they can now; it is None where there is one process.
    """

    run_log: RunLog
    relay: RunRelay
    connections: Connections
    noticeboard: Noticeboard
    parts: tuple[Part, ...] = ()
    redis_up: Callable[[], bool] | None = None


def _between(settings: Settings) -> Between:
    """Raises `ValueError` with one line that names `REDIS_URL`."""
    local = MemoryRunLog()
    if settings.redis_url is None:
        return Between(local, MemoryRunRelay(), MemoryConnections(), MemoryNoticeboard())
    link = RedisLink(settings.redis_url)
    log, connections = RedisRunLog(local, link), RedisConnections(link)
    parts = (link, log, connections)
    return Between(log, RedisRunRelay(link), connections, RedisNoticeboard(link, server_name()), parts, lambda: link.up)


class Container(containers.DeclarativeContainer):
    """A synchronous graph. What lives and dies with the process is in `lifetime`, a leaf that nothing depends on."""

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)

    # -- the world ---------------------------------------------------------------------------------------------------
    clock = providers.Singleton(SystemClock)
    ids = providers.Singleton(TimeOrderedIds)
    spawner = providers.Singleton(TaskSpawner)
    registry = providers.Singleton(CollectorRegistry)
    telemetry = providers.Singleton(PrometheusTelemetry, registry)
    database = providers.Singleton(
        open_database, settings.provided.database_url, pool_size=settings.provided.db_pool_size
    )
    store_lock = providers.Singleton(_store_lock, settings)
    users = providers.Singleton(SqlUserStore, database)
    threads = providers.Singleton(SqlThreadStore, database)
    thread_items = providers.Singleton(SqlThreadItemStore, database)
    thread_notes = providers.Singleton(SqlThreadNoteStore, database)
    run_store = providers.Singleton(SqlRunStore, database)
    progress = providers.Singleton(SqlRunProgress, database)
    session_store = providers.Singleton(SqlSessionStore, database)
    between = providers.Singleton(_between, settings)
    run_log = between.provided.run_log
    relay = between.provided.relay
    connections = between.provided.connections
    noticeboard = between.provided.noticeboard
    metrics = providers.Singleton(Metrics, registry, between.provided.redis_up)
    chat_model = providers.Singleton(_chat_model, settings, clock, telemetry)
    chatkit = providers.Singleton(_chatkit, settings)
    passwords = providers.Singleton(Argon2PasswordHasher, workers=settings.provided.password_workers)
    tokens = providers.Singleton(_tokens, settings)

    # -- what chat does ----------------------------------------------------------------------------------------------
    executions = providers.Singleton(
        Executions,
        model=chat_model,
        log=run_log,
        progress=progress,
        relay=relay,
        clock=clock,
        spawner=spawner,
        telemetry=telemetry,
        settings=providers.Factory(
            ExecutionSettings,
            checkpoint_s=settings.provided.checkpoint_s,
            grace_s=settings.provided.detach_grace_s,
            max_answer_chars=settings.provided.max_answer_chars,
            max_guests=settings.provided.max_live_guest_runs,
        ),
    )
    runs = providers.Singleton(
        Runs,
        store=run_store,
        log=run_log,
        relay=relay,
        connections=connections,
        executions=executions,
        clock=clock,
        ids=ids,
        policy=providers.Singleton(_policy, settings),
        context=providers.Factory(
            ContextWindow,
            max_chars=settings.provided.context_chars,
            system_prompt=settings.provided.system_prompt,
            takes_neighbours=settings.provided.takes_neighbours,
        ),
        max_live_runs=settings.provided.max_live_runs_per_user,
    )
    conversations = providers.Singleton(
        Conversations, store=threads, log=run_log, relay=relay, runs=runs, executions=executions, clock=clock
    )
    items = providers.Singleton(Items, items=thread_items, notes=thread_notes, log=run_log, clock=clock)
    recovery = providers.Singleton(
        Recovery,
        progress=progress,
        relay=relay,
        clock=clock,
        telemetry=telemetry,
        lease_s=settings.provided.lease_s,
        executed_here=executions.provided.executes,
    )
    authentication = providers.Singleton(
        Authentication,
        users=users,
        passwords=passwords,
        tokens=tokens,
        clock=clock,
        ids=ids,
        token_life_s=settings.provided.access_token_life_s,
    )
    chatkit_offer = providers.Singleton(
        ChatKitOffer,
        workflows=settings.provided.chatkit_workflows,
        missing=settings.provided.chatkit_missing,
        life_s=settings.provided.chatkit_session_life_s,
        refresh_window_s=settings.provided.chatkit_refresh_window_s,
    )
    sessions = providers.Singleton(
        Sessions,
        chatkit=chatkit,
        store=session_store,
        clock=clock,
        ids=ids,
        spawner=spawner,
        telemetry=telemetry,
        offer=chatkit_offer,
    )
    hosted_history = providers.Singleton(HostedHistory, threads=chatkit, offer=chatkit_offer)
    live = providers.Singleton(Live, connections=connections, clock=clock)
    accounts = providers.Singleton(Accounts, users=users, passwords=passwords, clock=clock, ids=ids)

    # -- the doors ---------------------------------------------------------------------------------------------------
    answers = providers.Singleton(Answers, runs, providers.Singleton(EventFrames), metrics, clock)
    fleet = providers.Singleton(Fleet, metrics, noticeboard, clock)
    sockets = providers.Singleton(
        Sockets,
        providers.Factory(
            Behind,
            authentication=authentication,
            runs=runs,
            live=live,
            events=providers.Singleton(EventFrames, envelope),
            notices=providers.Singleton(NoticeFrames),
        ),
        metrics,
        clock,
        settings,
    )
    migrate = providers.Callable(migrate, database)
    lifetime = providers.Resource(
        lifetime,
        store_lock=store_lock,
        database=database,
        recovery=recovery,
        executions=executions,
        metrics=metrics,
        loops=providers.List(
            executions.provided.keep_saved,
            executions.provided.keep_grace,
            executions.provided.keep_cancelling,
            recovery.provided.keep_watch,
            sessions.provided.keep_tidy,
            fleet.provided.keep_posted,
            sockets.provided.keep_checked,
            providers.Factory(partial, leave_with_parent, clock),
            providers.Factory(partial, sample_loop_lag, clock, metrics.provided.loop_was_late),
        ),
        parts=between.provided.parts,
        closing=providers.List(spawner, fleet, chat_model, chatkit, passwords),
        drain_limit_s=settings.provided.drain_limit_s,
    )
