"""Which doors there are, side by side. One that is switched off costs no import, so they are listed by name."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from chatorch.entrypoints.common.door import Door
from chatorch.entrypoints.settings import Settings


@dataclass(frozen=True, slots=True)
class Listed:
    """`module` has the door as its `DOOR`; it is there where `on` says so of the settings."""

    module: str
    on: Callable[[Settings], bool] = lambda _: True

    def door(self) -> Door:
        door: Door = import_module(self.module).DOOR
        return door


DOORS = (
    Listed("chatorch.entrypoints.api.door"),  # the busiest first, for each request is held against all routes in turn
    Listed("chatorch.entrypoints.chatkit_hosted.door"),
    Listed("chatorch.entrypoints.metrics.door"),
    Listed("chatorch.entrypoints.chatkit.door", on=lambda settings: settings.serves_chatkit),
    Listed("chatorch.entrypoints.ws.door"),
)


def open_doors(settings: Settings) -> tuple[Door, ...]:
    """Those that are switched on."""
    return tuple(listed.door() for listed in DOORS if listed.on(settings))
