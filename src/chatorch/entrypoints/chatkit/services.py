"""What stands behind this door."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.runs import Runs
from chatorch.ports.system import IdFactory


@dataclass(frozen=True, slots=True)
class Services:
    runs: Runs
    conversations: Conversations
    items: Annotations
    ids: IdFactory
    counted: Callable[[], AbstractContextManager[object]]
