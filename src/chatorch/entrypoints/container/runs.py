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
from chatorch.entrypoints.container.models import chat_policy
from chatorch.entrypoints.container.store import confirming
from chatorch.entrypoints.container.tools import ToolsTopic
from chatorch.entrypoints.container.world import LongLived
from chatorch.entrypoints.settings import Settings


def guest_limits(settings: Settings) -> GuestLimits:
    return GuestLimits(
        rate=Rate(settings.guest_requests_per_minute, 60),
        live=settings.max_live_guest_runs,
        live_per_address=settings.max_live_guest_runs_per_address,
    )


class RunsTopic(ToolsTopic):
    executor = providers.Singleton(
        Executor,
        model=ToolsTopic.tool_loop,
        log=ToolsTopic.run_log,
        execution_store=ToolsTopic.execution_store,
        run_control=ToolsTopic.run_control,
        clock=ToolsTopic.clock,
        spawner=ToolsTopic.spawner,
        telemetry=ToolsTopic.telemetry,
        settings=providers.Factory(
            ExecutorSettings,
            checkpoint_s=ToolsTopic.settings.provided.checkpoint_s,
            grace_s=ToolsTopic.settings.provided.detach_grace_s,
            max_answer_chars=ToolsTopic.settings.provided.max_answer_chars,
            answer_cap=MAX_ANSWER_CHARS,
        ),
    )
    admission_rules = providers.List(
        providers.Singleton(GuestAdmission, ToolsTopic.clock, providers.Callable(guest_limits, ToolsTopic.settings)),
        providers.Singleton(UserCap, ToolsTopic.settings.provided.max_live_runs_per_user),
    )
    admission = providers.Singleton(Admission, admission_rules)
    policy = providers.Singleton(chat_policy, ToolsTopic.settings, ToolsTopic.chat_models)
    context = providers.Factory(
        ContextWindow,
        max_chars=ToolsTopic.settings.provided.context_chars,
        system_prompt=ToolsTopic.settings.provided.system_prompt,
        takes_neighbours=ToolsTopic.settings.provided.takes_neighbours,
        sends_reasoning=ToolsTopic.settings.provided.send_reasoning,
    )
    runs = providers.Singleton(
        Runs,
        store=ToolsTopic.run_store,
        client_refs=ToolsTopic.threads,
        calls=ToolsTopic.calls,
        log=ToolsTopic.run_log,
        run_control=ToolsTopic.run_control,
        connections=ToolsTopic.connections,
        executor=executor,
        clock=ToolsTopic.clock,
        ids=ToolsTopic.ids,
        policy=policy,
        context=context,
        admission=admission,
    )
    conversations = providers.Singleton(
        Conversations,
        store=ToolsTopic.threads,
        empty_threads=ToolsTopic.threads,
        client_refs=ToolsTopic.threads,
        log=ToolsTopic.run_log,
        run_control=ToolsTopic.run_control,
        runs=runs,
        executor=executor,
        clock=ToolsTopic.clock,
    )
    annotations = providers.Singleton(
        Annotations,
        items=ToolsTopic.thread_items,
        notes=ToolsTopic.thread_notes,
        log=ToolsTopic.run_log,
        clock=ToolsTopic.clock,
    )
    guest_retention = providers.Singleton(
        GuestRetention,
        store=ToolsTopic.guest_threads,
        clock=ToolsTopic.clock,
        telemetry=ToolsTopic.telemetry,
        hours=ToolsTopic.settings.provided.guest_retention_hours,
        most=ToolsTopic.settings.provided.max_guest_threads,
    )
    unstored_expiry = providers.Singleton(
        UnstoredExpiry,
        store=ToolsTopic.unstored_threads,
        clock=ToolsTopic.clock,
        telemetry=ToolsTopic.telemetry,
        days=ToolsTopic.settings.provided.unstored_days,
    )
    takeovers = providers.Singleton(
        Takeovers,
        execution_store=ToolsTopic.execution_store,
        users=ToolsTopic.users,
        run_control=ToolsTopic.run_control,
        executor=executor,
        context=context,
        clock=ToolsTopic.clock,
        telemetry=ToolsTopic.telemetry,
        limits=providers.Factory(
            TakeoverLimits,
            within_s=ToolsTopic.settings.provided.continue_within_s,
            at_once=ToolsTopic.settings.provided.takeovers_at_once,
        ),
        confirm_lock=providers.Callable(confirming, ToolsTopic.store_lock),
    )
    lease_reaper = providers.Singleton(
        LeaseReaper,
        takeovers=takeovers,
        execution_store=ToolsTopic.execution_store,
        run_control=ToolsTopic.run_control,
        clock=ToolsTopic.clock,
        telemetry=ToolsTopic.telemetry,
        lease_s=ToolsTopic.settings.provided.lease_s,
        executed_here=executor.provided.executes,
        heartbeats_fail=executor.provided.heartbeats_fail,
        confirm_lock=providers.Callable(confirming, ToolsTopic.store_lock),
    )
    key_expiry = providers.Singleton(
        KeyExpiry, store=ToolsTopic.run_store, clock=ToolsTopic.clock, telemetry=ToolsTopic.telemetry
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
