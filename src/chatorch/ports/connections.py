"""Who is connected, in all processes, and reaching them."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.model.identity import UserId
from chatorch.domain.model.presence import ClientId, Device, PresenceEvent


class Mailbox(Protocol):
    """One connection, as those see it who have something for it. No method waits or raises."""

    @abstractmethod
    def deliver(self, event: PresenceEvent) -> None:
        """The same object for every mailbox in this process that gets it, so that a door can encode it once."""
        ...

    @abstractmethod
    def replaced(self) -> None:
        """A newer connection of the same device took its place. Nothing is delivered afterwards."""
        ...

    @abstractmethod
    def refused(self) -> None:
        """Its user has as many connections as may be, and it is none of them. Nothing is delivered afterwards."""
        ...


class Connections(Protocol):
    """Attaching, detaching and sending never wait and never fail.

    Whatever must be told to other processes is told behind the scenes; where they cannot be reached, this process goes
    on alone and tells them later who is connected. A process that dies takes its connections with it: within 15 s the
    others hear that its devices have left.
    """

    @abstractmethod
    def attach(self, device: Device, mailbox: Mailbox) -> None:
        """From now on the mailbox gets what is sent to its user or to everyone.

        An older connection of the same device, in whichever process, is `replaced`: exactly one stays, the one that
        came last, or of those that came within a second of each other any. Where there was none, the user's other
        devices hear that this one `joined`; or, where the user has too many in all processes, it is `refused`, at
        once or when the others have been asked. While they cannot be reached, each process counts for itself.
        """
        ...

    @abstractmethod
    def detach(self, device: Device, mailbox: Mailbox) -> None:
        """The user's other devices hear that this one `left`.

        A no-op for a mailbox that is replaced, refused or unknown.
        """
        ...

    @abstractmethod
    def send(self, user_id: UserId, event: PresenceEvent, *, besides: ClientId | None = None) -> None:
        """To all devices of the user, in all processes, but for `besides`."""
        ...

    @abstractmethod
    async def broadcast(self, event: PresenceEvent) -> None:
        """To every connection in every process, once. Raises `Unavailable`, and reaches nobody then."""
        ...

    @abstractmethod
    async def count(self) -> int:
        """How many connections there are in all processes; of this one where the others cannot be asked."""
        ...
