"""What everything stands on: settings, time, ids, counters, the store, and what processes tell each other through."""

import os
from functools import partial
from typing import Any

from dependency_injector import containers, providers
from prometheus_client import CollectorRegistry

from chatorch.adapters.sql import (
    SqlCallStore,
    SqlExecutionStore,
    SqlGuestThreadStore,
    SqlRunLives,
    SqlRunStore,
    SqlThreadItemStore,
    SqlThreadNoteStore,
    SqlThreadStore,
    SqlUnstoredThreadStore,
    SqlUserStore,
    open_database,
)
from chatorch.adapters.system import SystemClock, TaskSpawner, TimeOrderedIds
from chatorch.adapters.telemetry import PrometheusTelemetry
from chatorch.entrypoints.container.backplane import choose_backplane
from chatorch.entrypoints.container.clock import choose_clock, keep_set
from chatorch.entrypoints.container.store import store_lock_of
from chatorch.entrypoints.metrics.metrics import Metrics
from chatorch.entrypoints.process.metric_files import VARIABLE
from chatorch.entrypoints.process.readiness import Readiness
from chatorch.entrypoints.settings import Settings

LongLived = tuple[providers.Provider[Any], ...]
"""Of a topic what lives as long as the process: `loops` that go on for ever, and things to close (`closing`)."""


class World(containers.DeclarativeContainer):
    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)

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
    unstored_threads = providers.Singleton(SqlUnstoredThreadStore, database)
    guest_threads = providers.Singleton(SqlGuestThreadStore, database)
    run_store = providers.Singleton(SqlRunStore, database)
    calls = providers.Singleton(SqlCallStore, database)
    run_lives = providers.Singleton(SqlRunLives, database)
    execution_store = providers.Singleton(SqlExecutionStore, database)

    backplane = providers.Singleton(choose_backplane, settings)
    run_log = backplane.provided.run_log
    run_control = backplane.provided.run_control
    connections = backplane.provided.connections

    metrics_folder = providers.Callable(os.environ.get, VARIABLE)
    metrics = providers.Singleton(Metrics, registry, backplane.provided.redis_up, metrics_folder)

    loops: LongLived = (providers.Factory(partial, keep_set, clock), readiness.provided.keep_looking)
    closing: LongLived = (spawner,)
