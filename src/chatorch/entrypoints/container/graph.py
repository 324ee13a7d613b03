"""Which adapter stands behind which port, and what every service is given.

Override a provider to swap an adapter: ``Container(settings=…, chat_model=providers.Object(fake))``.
"""

from functools import partial

from dependency_injector import containers, providers
from prometheus_client import CollectorRegistry

from chatorch.adapters.identity.argon2_passwords import Argon2PasswordHasher
from chatorch.adapters.sql import (
    SqlChatKitSessionStore,
    SqlExecutionStore,
    SqlGuestThreadStore,
    SqlRunLives,
    SqlRunStore,
    SqlThreadItemStore,
    SqlThreadNoteStore,
    SqlThreadStore,
    SqlUserStore,
    back_up,
    downgrade,
    lacking_rights,
    migrate,
    open_database,
    standing,
)
from chatorch.adapters.system import SystemClock, TaskSpawner, TimeOrderedIds
from chatorch.adapters.telemetry import PrometheusTelemetry
from chatorch.domain.model.context import ContextWindow
from chatorch.domain.services.admission import Admission
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.chatkit_hosted.history import HostedHistory
from chatorch.domain.services.chatkit_hosted.sessions import ChatKitOffer, ChatKitSessions
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.execution.executor import Executor, ExecutorSettings
from chatorch.domain.services.execution.lease_reaper import LeaseReaper
from chatorch.domain.services.guest_retention import GuestRetention
from chatorch.domain.services.identity.accounts import Accounts
from chatorch.domain.services.identity.attempts import Attempts
from chatorch.domain.services.identity.revocation import Revocation
from chatorch.domain.services.identity.sign_in import Authentication
from chatorch.domain.services.key_expiry import KeyExpiry
from chatorch.domain.services.presence import Presence
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.common.envelope import envelope
from chatorch.entrypoints.common.run_responses import RunResponses
from chatorch.entrypoints.common.sse import EventFrames
from chatorch.entrypoints.container.backplane import choose_backplane
from chatorch.entrypoints.container.clock import ahead_of_store_s, choose_clock, keep_set
from chatorch.entrypoints.container.identity import attempt_limits, guest_limits, token_signer
from chatorch.entrypoints.container.models import (
    chat_policy,
    choose_model,
    hosted_chatkit,
    listed_models,
    require_readable_trust,
)
from chatorch.entrypoints.container.store import confirming, lock_state, store_lock_of
from chatorch.entrypoints.metrics.fleet import KEPT_S, Fleet
from chatorch.entrypoints.metrics.loop_lag import sample_loop_lag
from chatorch.entrypoints.metrics.metrics import Metrics
from chatorch.entrypoints.process.free_memory import keep_giving_back, own_heap
from chatorch.entrypoints.process.lifetime import lifetime
from chatorch.entrypoints.process.open_files import watch_files
from chatorch.entrypoints.process.readiness import Readiness
from chatorch.entrypoints.process.signals import leave_with_parent
from chatorch.entrypoints.settings import Settings
from chatorch.entrypoints.ws.socket import NoticeFrames, Services
from chatorch.entrypoints.ws.sockets import Sockets


class Container(containers.DeclarativeContainer):
    """A synchronous graph. What lives and dies with the process is in `lifetime`, a leaf that nothing depends on."""

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)

    # -- the world ---------------------------------------------------------------------------------------------------
    own_clock = providers.Singleton(SystemClock)
    ids = providers.Singleton(TimeOrderedIds)
    spawner = providers.Singleton(TaskSpawner)
    registry = providers.Singleton(CollectorRegistry)
    telemetry = providers.Singleton(PrometheusTelemetry, registry)
    database = providers.Singleton(
        open_database,
        settings.provided.database_url,
        pool_size=settings.provided.db_pool_size,
        heartbeat_timeout=settings.provided.heartbeat_timeout_s,
    )
    clock = providers.Singleton(choose_clock, settings, own_clock, database)
    readiness = providers.Singleton(Readiness, database, clock)
    store_lock = providers.Singleton(store_lock_of, settings)
    users = providers.Singleton(SqlUserStore, database)
    threads = providers.Singleton(SqlThreadStore, database)
    thread_items = providers.Singleton(SqlThreadItemStore, database)
    thread_notes = providers.Singleton(SqlThreadNoteStore, database)
    guest_threads = providers.Singleton(SqlGuestThreadStore, database)
    run_store = providers.Singleton(SqlRunStore, database)
    run_lives = providers.Singleton(SqlRunLives, database)
    execution_store = providers.Singleton(SqlExecutionStore, database)
    session_store = providers.Singleton(SqlChatKitSessionStore, database)
    backplane = providers.Singleton(choose_backplane, settings)
    run_log = backplane.provided.run_log
    run_control = backplane.provided.run_control
    connections = backplane.provided.connections
    noticeboard = backplane.provided.noticeboard
    metrics = providers.Singleton(Metrics, registry, backplane.provided.redis_up)
    chat_model = providers.Singleton(choose_model, settings, clock, telemetry)
    chatkit = providers.Singleton(hosted_chatkit, settings)
    passwords = providers.Singleton(Argon2PasswordHasher, workers=settings.provided.password_workers)
    tokens = providers.Singleton(token_signer, settings)

    # -- what chat does ----------------------------------------------------------------------------------------------
    executor = providers.Singleton(
        Executor,
        model=chat_model,
        log=run_log,
        execution_store=execution_store,
        run_control=run_control,
        clock=clock,
        spawner=spawner,
        telemetry=telemetry,
        settings=providers.Factory(
            ExecutorSettings,
            checkpoint_s=settings.provided.checkpoint_s,
            grace_s=settings.provided.detach_grace_s,
            max_answer_chars=settings.provided.max_answer_chars,
        ),
    )
    runs = providers.Singleton(
        Runs,
        store=run_store,
        log=run_log,
        run_control=run_control,
        connections=connections,
        executor=executor,
        clock=clock,
        ids=ids,
        policy=providers.Singleton(chat_policy, settings),
        context=providers.Factory(
            ContextWindow,
            max_chars=settings.provided.context_chars,
            system_prompt=settings.provided.system_prompt,
            takes_neighbours=settings.provided.takes_neighbours,
        ),
        max_live_runs=settings.provided.max_live_runs_per_user,
        admission=providers.Singleton(Admission, clock, providers.Callable(guest_limits, settings)),
    )
    conversations = providers.Singleton(
        Conversations, store=threads, log=run_log, run_control=run_control, runs=runs, executor=executor, clock=clock
    )
    items = providers.Singleton(Annotations, items=thread_items, notes=thread_notes, log=run_log, clock=clock)
    guest_retention = providers.Singleton(
        GuestRetention,
        store=guest_threads,
        clock=clock,
        telemetry=telemetry,
        hours=settings.provided.guest_retention_hours,
        most=settings.provided.max_guest_threads,
    )
    lease_reaper = providers.Singleton(
        LeaseReaper,
        execution_store=execution_store,
        run_control=run_control,
        clock=clock,
        telemetry=telemetry,
        lease_s=settings.provided.lease_s,
        executed_here=executor.provided.executes,
        heartbeats_fail=executor.provided.heartbeats_fail,
        confirm_lock=providers.Callable(confirming, store_lock),
    )
    key_expiry = providers.Singleton(KeyExpiry, store=run_store, clock=clock, telemetry=telemetry)
    authentication = providers.Singleton(
        Authentication,
        users=users,
        passwords=passwords,
        tokens=tokens,
        clock=clock,
        ids=ids,
        attempts=providers.Singleton(Attempts, clock, providers.Callable(attempt_limits, settings)),
        token_life_s=settings.provided.access_token_life_s,
    )
    revocation = providers.Singleton(
        Revocation, authentication=authentication, executor=executor, clock=clock, telemetry=telemetry
    )
    chatkit_offer = providers.Singleton(
        ChatKitOffer,
        workflows=settings.provided.chatkit_workflows,
        missing=settings.provided.chatkit_missing,
        life_s=settings.provided.chatkit_session_life_s,
        refresh_window_s=settings.provided.chatkit_refresh_window_s,
        max_sessions=settings.provided.chatkit_sessions_per_user,
    )
    sessions = providers.Singleton(
        ChatKitSessions,
        chatkit=chatkit,
        store=session_store,
        clock=clock,
        ids=ids,
        spawner=spawner,
        telemetry=telemetry,
        offer=chatkit_offer,
    )
    hosted_history = providers.Singleton(HostedHistory, threads=chatkit, offer=chatkit_offer)
    presence = providers.Singleton(Presence, connections=connections, clock=clock)
    accounts = providers.Singleton(Accounts, users=users, passwords=passwords, clock=clock, ids=ids)

    # -- the doors ---------------------------------------------------------------------------------------------------
    answers = providers.Singleton(
        RunResponses,
        runs,
        revocation,
        providers.Singleton(EventFrames),
        metrics,
        clock,
        max_followers=settings.provided.max_followers_per_user,
    )
    metrics_kept_s = providers.Object(KEPT_S)
    fleet = providers.Singleton(Fleet, metrics, noticeboard, clock, metrics_kept_s)
    sockets = providers.Singleton(
        Sockets,
        providers.Factory(
            Services,
            authentication=authentication,
            runs=runs,
            presence=presence,
            events=providers.Singleton(EventFrames, envelope),
            notices=providers.Singleton(NoticeFrames),
        ),
        metrics,
        clock,
        settings,
    )
    migrate = providers.Callable(migrate, database)
    downgrade = providers.Callable(partial, downgrade, database, settings.provided.database_url)
    standing = providers.Callable(standing, database, settings.provided.database_url)
    back_up = providers.Callable(partial, back_up, settings.provided.database_url)
    lock_state = providers.Callable(lock_state, store_lock)
    lacking_rights = providers.Callable(lacking_rights, database)
    listed_models = providers.Callable(partial, listed_models, settings)
    require_trust = providers.Callable(require_readable_trust, settings)
    ahead_of_store_s = providers.Callable(ahead_of_store_s, settings, own_clock, database)
    lifetime = providers.Resource(
        lifetime,
        store_lock=store_lock,
        database=database,
        lease_reaper=lease_reaper,
        executor=executor,
        metrics=metrics,
        loops=providers.List(
            providers.Factory(partial, keep_set, clock),
            executor.provided.keep_saved,
            executor.provided.keep_grace,
            executor.provided.keep_cancelling,
            lease_reaper.provided.keep_watch,
            revocation.provided.keep_watch,
            key_expiry.provided.keep_forgetting,
            sessions.provided.keep_tidy,
            guest_retention.provided.keep_tidy,
            fleet.provided.keep_posted,
            readiness.provided.keep_looking,
            sockets.provided.keep_checked,
            providers.Factory(partial, leave_with_parent, clock),
            providers.Factory(partial, watch_files, clock),
            providers.Factory(partial, sample_loop_lag, clock, metrics.provided.loop_was_late),
            providers.Factory(partial, keep_giving_back, clock, providers.Callable(own_heap)),
        ),
        parts=backplane.provided.parts,
        closing=providers.List(spawner, fleet, chat_model, chatkit, passwords),
        drain_limit_s=settings.provided.drain_limit_s,
    )
