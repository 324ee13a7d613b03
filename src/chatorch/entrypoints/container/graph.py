"""Which adapter stands behind which port, and what every service is given: all topics in one graph.

Override a provider to swap an adapter: ``Container(settings=…, chat_model=providers.Object(fake))``.
"""

from functools import partial

from dependency_injector import providers

from chatorch.entrypoints.container.chatkit_hosted import ChatKitHostedTopic
from chatorch.entrypoints.container.doors import DoorsTopic
from chatorch.entrypoints.container.identity import IdentityTopic
from chatorch.entrypoints.container.models import ModelsTopic
from chatorch.entrypoints.container.operator import OperatorTopic
from chatorch.entrypoints.container.runs import RunsTopic
from chatorch.entrypoints.container.world import World
from chatorch.entrypoints.metrics.loop_lag import sample_loop_lag
from chatorch.entrypoints.process.free_memory import keep_giving_back, own_heap
from chatorch.entrypoints.process.lifetime import lifetime
from chatorch.entrypoints.process.open_files import watch_files
from chatorch.entrypoints.process.signals import leave_with_parent

TOPICS = (World, DoorsTopic, ModelsTopic, ChatKitHostedTopic, RunsTopic, IdentityTopic, OperatorTopic)
"""In the order in which what they leave open is closed."""


class Container(ChatKitHostedTopic, OperatorTopic, DoorsTopic):
    """A synchronous graph. What lives and dies with the process is in `lifetime`, a leaf that nothing depends on."""

    lifetime = providers.Resource(
        lifetime,
        store_lock=World.store_lock,
        database=World.database,
        lease_reaper=RunsTopic.lease_reaper,
        executor=RunsTopic.executor,
        metrics=World.metrics,
        loops=providers.List(
            *(loop for topic in TOPICS for loop in topic.loops),
            providers.Factory(partial, leave_with_parent, World.clock),
            providers.Factory(partial, watch_files, World.clock),
            providers.Factory(partial, sample_loop_lag, World.clock, World.metrics.provided.loop_was_late),
            providers.Factory(partial, keep_giving_back, World.clock, providers.Callable(own_heap)),
        ),
        parts=World.backplane.provided.parts,
        closing=providers.List(*(thing for topic in TOPICS for thing in topic.closing)),
        drain_limit_s=World.settings.provided.drain_limit_s,
    )
