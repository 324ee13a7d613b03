"""Runs: opening, executing, following and ending them, and the threads that they are in."""

from dependency_injector import providers

from chatorch.domain.model.context import ContextWindow
from chatorch.domain.model.rates import Rate
from chatorch.domain.services.admission import Admission, UserCap
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.execution.executor import Executor, ExecutorSettings
from chatorch.domain.services.execution.lease_reaper import LeaseReaper
from chatorch.domain.services.execution.takeovers import TakeoverLimits, Takeovers
from chatorch.domain.services.guest_admission import GuestAdmission, GuestLimits
from chatorch.domain.services.guest_retention import GuestRetention
from chatorch.domain.services.key_expiry import KeyExpiry
from chatorch.domain.services.runs import Runs
from chatorch.domain.services.unstored_expiry import UnstoredExpiry
from chatorch.entrypoints.common.setting_names import MAX_ANSWER_CHARS
from chatorch.entrypoints.container.models import ModelsTopic, chat_policy
from chatorch.entrypoints.container.store import confirming
from chatorch.entrypoints.container.world import LongLived
from chatorch.entrypoints.settings import Settings


def guest_limits(settings: Settings) -> GuestLimits:
    return GuestLimits(
        rate=Rate(settings.guest_requests_per_minute, 60),
        live=settings.max_live_guest_runs,
        live_per_address=settings.max_live_guest_runs_per_address,
    )


class RunsTopic(ModelsTopic):
    executor = providers.Singleton(
        Executor,
        model=ModelsTopic.chat_model,
        log=ModelsTopic.run_log,
        execution_store=ModelsTopic.execution_store,
        run_control=ModelsTopic.run_control,
        clock=ModelsTopic.clock,
        spawner=ModelsTopic.spawner,
        telemetry=ModelsTopic.telemetry,
        settings=providers.Factory(
            ExecutorSettings,
            checkpoint_s=ModelsTopic.settings.provided.checkpoint_s,
            grace_s=ModelsTopic.settings.provided.detach_grace_s,
            max_answer_chars=ModelsTopic.settings.provided.max_answer_chars,
            answer_cap=MAX_ANSWER_CHARS,
        ),
    )
    admission_rules = providers.List(
        providers.Singleton(GuestAdmission, ModelsTopic.clock, providers.Callable(guest_limits, ModelsTopic.settings)),
        providers.Singleton(UserCap, ModelsTopic.settings.provided.max_live_runs_per_user),
    )
    admission = providers.Singleton(Admission, admission_rules)
    policy = providers.Singleton(chat_policy, ModelsTopic.settings, ModelsTopic.chat_models)
    context = providers.Factory(
        ContextWindow,
        max_chars=ModelsTopic.settings.provided.context_chars,
        system_prompt=ModelsTopic.settings.provided.system_prompt,
        takes_neighbours=ModelsTopic.settings.provided.takes_neighbours,
        sends_reasoning=ModelsTopic.settings.provided.send_reasoning,
    )
    runs = providers.Singleton(
        Runs,
        store=ModelsTopic.run_store,
        client_refs=ModelsTopic.threads,
        log=ModelsTopic.run_log,
        run_control=ModelsTopic.run_control,
        connections=ModelsTopic.connections,
        executor=executor,
        clock=ModelsTopic.clock,
        ids=ModelsTopic.ids,
        policy=policy,
        context=context,
        admission=admission,
    )
    conversations = providers.Singleton(
        Conversations,
        store=ModelsTopic.threads,
        empty_threads=ModelsTopic.threads,
        client_refs=ModelsTopic.threads,
        log=ModelsTopic.run_log,
        run_control=ModelsTopic.run_control,
        runs=runs,
        executor=executor,
        clock=ModelsTopic.clock,
    )
    annotations = providers.Singleton(
        Annotations,
        items=ModelsTopic.thread_items,
        notes=ModelsTopic.thread_notes,
        log=ModelsTopic.run_log,
        clock=ModelsTopic.clock,
    )
    guest_retention = providers.Singleton(
        GuestRetention,
        store=ModelsTopic.guest_threads,
        clock=ModelsTopic.clock,
        telemetry=ModelsTopic.telemetry,
        hours=ModelsTopic.settings.provided.guest_retention_hours,
        most=ModelsTopic.settings.provided.max_guest_threads,
    )
    unstored_expiry = providers.Singleton(
        UnstoredExpiry,
        store=ModelsTopic.unstored_threads,
        clock=ModelsTopic.clock,
        telemetry=ModelsTopic.telemetry,
        days=ModelsTopic.settings.provided.unstored_days,
    )
    takeovers = providers.Singleton(
        Takeovers,
        execution_store=ModelsTopic.execution_store,
        run_control=ModelsTopic.run_control,
        executor=executor,
        context=context,
        clock=ModelsTopic.clock,
        telemetry=ModelsTopic.telemetry,
        limits=providers.Factory(
            TakeoverLimits,
            within_s=ModelsTopic.settings.provided.continue_within_s,
            at_once=ModelsTopic.settings.provided.takeovers_at_once,
        ),
        confirm_lock=providers.Callable(confirming, ModelsTopic.store_lock),
    )
    lease_reaper = providers.Singleton(
        LeaseReaper,
        takeovers=takeovers,
        execution_store=ModelsTopic.execution_store,
        run_control=ModelsTopic.run_control,
        clock=ModelsTopic.clock,
        telemetry=ModelsTopic.telemetry,
        lease_s=ModelsTopic.settings.provided.lease_s,
        executed_here=executor.provided.executes,
        heartbeats_fail=executor.provided.heartbeats_fail,
        confirm_lock=providers.Callable(confirming, ModelsTopic.store_lock),
    )
    key_expiry = providers.Singleton(
        KeyExpiry, store=ModelsTopic.run_store, clock=ModelsTopic.clock, telemetry=ModelsTopic.telemetry
    )

    loops: LongLived = (
        executor.provided.keep_saved,
        executor.provided.keep_grace,
        executor.provided.keep_cancelling,
        lease_reaper.provided.keep_watch,
        takeovers.provided.keep_taking,
        key_expiry.provided.keep_forgetting,
        guest_retention.provided.keep_tidy,
        unstored_expiry.provided.keep_forgetting,
    )
    closing: LongLived = ()
