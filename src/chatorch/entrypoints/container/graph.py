"""Which adapter stands behind which port, and what every service is given: all topics in one graph.

Override a provider to swap an adapter: ``Container(settings=…, chat_model=providers.Object(fake))``.
"""

import types
from collections.abc import Iterable
from functools import cache, partial
from typing import Any

from dependency_injector import providers

from chatorch.entrypoints.container.doors import DoorsTopic
from chatorch.entrypoints.container.identity import IdentityTopic
from chatorch.entrypoints.container.models import ModelsTopic
from chatorch.entrypoints.container.operator import OperatorTopic
from chatorch.entrypoints.container.runs import RunsTopic
from chatorch.entrypoints.container.tools import ToolsTopic
from chatorch.entrypoints.container.world import World
from chatorch.entrypoints.doors import topics_of
from chatorch.entrypoints.metrics.loop_lag import sample_loop_lag
from chatorch.entrypoints.process.free_memory import keep_giving_back, own_heap
from chatorch.entrypoints.process.lifetime import lifetime
from chatorch.entrypoints.process.open_files import watch_files
from chatorch.entrypoints.process.signals import leave_with_parent

Topic = type[World]

TOPICS: tuple[Topic, ...] = (World, DoorsTopic, ModelsTopic, ToolsTopic, RunsTopic, IdentityTopic, OperatorTopic)
"""In the order in which what they leave open is closed; those of doors that bring one come after them."""


class Container(OperatorTopic, DoorsTopic):
    """A synchronous graph: of these topics, and of those that the doors bring which the settings switch on.

    What lives and dies with the process is in `lifetime`, a leaf that nothing depends on.
    """

    lifetime: providers.Resource[None]

    def __new__(cls, **given: Any) -> "Container":
        settings = given["settings"]
        settings = settings() if isinstance(settings, providers.Provider) else settings
        whole = _with(topics_of(settings))
        container: Container = super().__new__(whole, **given)
        return container


@cache
def _with(brought: tuple[Topic, ...]) -> type[Container]:
    members = {"lifetime": _lifetime((*TOPICS, *brought))}
    whole: type[Container] = types.new_class(
        "Container", (*brought, Container), exec_body=lambda body: body.update(members)
    )
    return whole


def _lifetime(topics: Iterable[Topic]) -> providers.Resource[None]:
    topics = tuple(topics)
    return providers.Resource(
        lifetime,
        store_lock=World.store_lock,
        database=World.database,
        lease_reaper=RunsTopic.lease_reaper,
        executor=RunsTopic.executor,
        metrics=World.metrics,
        loops=providers.List(
            *(loop for topic in topics for loop in topic.loops),
            providers.Factory(partial, leave_with_parent, World.clock),
            providers.Factory(partial, watch_files, World.clock),
            providers.Factory(partial, sample_loop_lag, World.clock, World.metrics.provided.loop_was_late),
            providers.Factory(partial, keep_giving_back, World.clock, providers.Callable(own_heap)),
        ),
        components=World.backplane.provided.components,
        closing=providers.List(*(thing for topic in topics for thing in topic.closing)),
        drain_limit_s=World.settings.provided.drain_limit_s,
    )
