"""Which doors there are, side by side. One that is switched off costs no import, so they are listed by name."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from chatorch.entrypoints.common.door import Door
from chatorch.entrypoints.settings import Settings

HERE = "chatorch.entrypoints"


@dataclass(frozen=True, slots=True)
class Listed:
    """The door is `DOOR` in the module `door` of the package of this name, and is there where `on` says so, and
    `Settings.doors` does not leave it out.

    `brings_topic`: where it stands on services of its own, they are `Topic` in the container's module of this name.
    """

    name: str
    on: Callable[[Settings], bool] = lambda _: True
    brings_topic: bool = False

    def opens(self, settings: Settings) -> bool:
        return settings.opens(self.name) and self.on(settings)

    def door(self) -> Door:
        door: Door = import_module(f"{HERE}.{self.name}.door").DOOR
        return door

    def topic(self) -> Any:
        return import_module(f"{HERE}.container.{self.name}").Topic


DOORS = (
    Listed("api"),  # the busiest first, for each request is held against all routes in turn
    Listed("chatkit_hosted", lambda settings: settings.chatkit_hosted, brings_topic=True),
    Listed("metrics"),
    Listed("openai"),
    Listed("ai_sdk"),
    Listed("ag_ui"),
    Listed("chatkit", lambda settings: settings.serves_chatkit),
    Listed("ws"),
)


def topics_of(settings: Settings) -> tuple[Any, ...]:
    """What the doors bring that are switched on: classes for the container to be made of."""
    return tuple(listed.topic() for listed in DOORS if listed.brings_topic and listed.opens(settings))


def open_doors(settings: Settings) -> tuple[Door, ...]:
    """Those that are switched on."""
    return tuple(listed.door() for listed in DOORS if listed.opens(settings))
