"""What this door needs of the container."""

from abc import abstractmethod
from typing import Protocol

from chatorch.entrypoints.common.given import Given
from chatorch.entrypoints.metrics.scrapes import Scrapes
from chatorch.entrypoints.settings import Settings


class Needs(Protocol):
    @abstractmethod
    def scrapes(self) -> Scrapes: ...

    @abstractmethod
    def settings(self) -> Settings: ...


given = Given[Needs]()
