"""What Redis must do in one step. Every script names its keys and arguments; times are Redis's own, in milliseconds."""

from chatorch.adapters.redis.scripts.devices import ATTACH, CLAIM, COUNT, DETACH, DEVICES, SWEEP
from chatorch.adapters.redis.scripts.presence_events import ANNOUNCE, ANNOUNCED, NOW, SEND, SENT
from chatorch.adapters.redis.scripts.runs import FENCE, PUBLISH, WATCH, WATCHED
from chatorch.adapters.redis.scripts.script import Argument, Command, Script

ALL = (
    *(PUBLISH, FENCE, WATCH, WATCHED),
    *(ATTACH, CLAIM, DETACH, SWEEP, DEVICES, SEND, SENT, COUNT),
    *(NOW, ANNOUNCE, ANNOUNCED),
)

__all__ = [
    "ALL",
    "ANNOUNCE",
    "ANNOUNCED",
    "ATTACH",
    "CLAIM",
    "COUNT",
    "DETACH",
    "DEVICES",
    "FENCE",
    "NOW",
    "PUBLISH",
    "SEND",
    "SENT",
    "SWEEP",
    "WATCH",
    "WATCHED",
    "Argument",
    "Command",
    "Script",
]
