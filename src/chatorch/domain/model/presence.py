"""Who is connected, and what is pushed to them without being asked for."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.run import RunStarted

ClientId = NewType("ClientId", str)


@dataclass(frozen=True, slots=True)
class Device:
    """One device of one user. Another user's device of the same name is another device."""

    user_id: UserId
    client_id: ClientId


class PresenceStatus(StrEnum):
    JOINED = "joined"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class RunBegan:
    """Another device of the same user began a run, or a request without a device did."""

    run_id: RunId
    started: RunStarted


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    client_id: ClientId
    status: PresenceStatus


@dataclass(frozen=True, slots=True)
class Announcement:
    text: str
    timestamp: datetime


PresenceEvent = RunBegan | PresenceChanged | Announcement
"""What devices are told without asking: who came and left, and what else their user, or everyone, is to hear."""
