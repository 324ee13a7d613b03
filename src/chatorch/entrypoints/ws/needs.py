"""What this door needs of the container."""

from abc import abstractmethod
from typing import Protocol

from chatorch.entrypoints.common.given import Given
from chatorch.entrypoints.common.websocket.needs import Needs as SocketNeeds
from chatorch.entrypoints.ws.speech import DeviceSpeech


class Needs(SocketNeeds, Protocol):
    @abstractmethod
    def device_speech(self) -> DeviceSpeech: ...


given = Given[Needs]()
