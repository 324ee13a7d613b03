"""The history that the provider keeps of hosted ChatKit sessions."""

import re
from dataclasses import dataclass
from datetime import datetime

from chatorch.domain.model.conversation import JsonObject
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.identity import Principal, UserId

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class HostedThread:
    """`status` is ``active``, ``locked`` or ``closed``."""

    id: str
    user_id: UserId
    title: str | None
    status: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class HostedItem:
    """`type` is ``user_message``, ``assistant_message``, ``widget`` and so on; `members` are what the provider says."""

    id: str
    thread_id: str
    type: str
    created_at: datetime
    members: JsonObject


def is_hosted_id(given: str) -> bool:
    """Whether it can be one of the provider's ids: anything else never becomes part of an address."""
    return _ID.fullmatch(given) is not None


def require_hosted_id(given: str) -> str:
    """Raises `NotFound` for what cannot be one of the provider's ids."""
    if not is_hosted_id(given):
        raise NotFound
    return given


def require_own(thread: HostedThread, principal: Principal) -> HostedThread:
    """Raises `NotFound`: the provider tells everybody's threads to whoever has the key."""
    if thread.user_id != principal.user_id:
        raise NotFound
    return thread
