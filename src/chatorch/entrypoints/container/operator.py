"""What an operator asks of the command line, besides serving."""

from functools import partial

from dependency_injector import providers

from chatorch.adapters.sql import back_up, downgrade, known_revisions, lacking_rights, migrate
from chatorch.entrypoints.container.clock import ahead_of_store_s
from chatorch.entrypoints.container.models import listed_models, require_readable_trust
from chatorch.entrypoints.container.store import lock_state
from chatorch.entrypoints.container.world import LongLived, World


class OperatorTopic(World):
    migrate = providers.Callable(migrate, World.database)
    downgrade = providers.Callable(partial, downgrade, World.database, World.settings.provided.database_url)
    known_revisions = providers.Callable(known_revisions, World.database, World.settings.provided.database_url)
    back_up = providers.Callable(partial, back_up, World.settings.provided.database_url)
    lock_state = providers.Callable(lock_state, World.store_lock)
    lacking_rights = providers.Callable(lacking_rights, World.database)
    listed_models = providers.Callable(partial, listed_models)
    require_trust = providers.Callable(require_readable_trust, World.settings)
    ahead_of_store_s = providers.Callable(ahead_of_store_s, World.settings, World.own_clock, World.database)

    loops: LongLived = ()
    closing: LongLived = ()
