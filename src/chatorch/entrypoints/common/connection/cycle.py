"""A request and its response.

- HTTP/1.0 knows no chunks (RFC 9112, 6.1): what has no length ends with the connection.
- Where an answer is out before the whole body is in, the connection stays for a while: closing while the client still
  sends would reset it, and the answer would be lost on the way (RFC 9112, 9.6).
"""

from typing import Self

from chatorch.entrypoints.common.connection.of_uvicorn import ASGISendEvent, HttpToolsProtocol, RequestResponseCycle
from chatorch.entrypoints.common.connection.signal import Signal
from chatorch.entrypoints.common.refused import RequestRefused

CHUNKLESS = frozenset({"0.9", "1.0"})


class Cycle(RequestResponseCycle):
    """One whose body has not all come with its head; the others stay uvicorn's, which costs less.

    `lingers`: what still comes is dropped when the answer is out, for a moment, and then the connection ends.
    """

    refused: RequestRefused | None = None
    lingers = False
    _keep_alive: bool

    @classmethod
    def take_over(cls, cycle: RequestResponseCycle) -> None:
        """Makes `cycle` one of these: uvicorn names the class itself where it makes one."""
        keep_alive = cycle.__dict__.pop("keep_alive")
        cycle.__class__ = cls
        cycle.keep_alive = keep_alive

    @classmethod
    def last_of(cls, connection: HttpToolsProtocol) -> Self:
        """For the connection's scope, of which nothing more is read; then it ends."""
        cycle = cls(
            scope=connection.scope,
            transport=connection.transport,
            flow=connection.flow,
            logger=connection.logger,
            access_logger=connection.access_logger,
            access_log=connection.access_log,
            default_headers=connection.server_state.default_headers,
            message_event=Signal(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=connection.on_response_complete,
        )
        cycle.lingers = True
        cycle.more_body = False
        cycle.message_event.set()
        return cycle

    @property
    def keep_alive(self) -> bool:
        """Also once the answer is complete, while its request still comes: the connection closes when that is read."""
        return self._keep_alive or self.lingers or self.unread

    @keep_alive.setter
    def keep_alive(self, value: bool) -> None:
        self._keep_alive = value

    @property
    def unread(self) -> bool:
        return self.response_complete and self.more_body

    @property
    def last(self) -> bool:
        """Nothing comes after it on this connection."""
        return not self._keep_alive

    def refuse(self, refused: RequestRefused) -> None:
        """The rest of the body will not come: whoever waits for it is told."""
        self.__class__ = RefusedCycle
        self.__dict__.pop("body")
        self.refused = refused
        self.keep_alive = False
        self.lingers = True
        self.message_event.set()


class CarefulCycle(Cycle):
    """For who speaks HTTP/1.0, or asked before sending the body. Apart, because it costs each piece of an answer."""

    _unframed = False

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            if self.waiting_for_100_continue:
                self.keep_alive = False  # whether the body comes all the same is up to the client (RFC 9110, 10.1.1)
            if self.scope["http_version"] in CHUNKLESS:
                self._unframed = not any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
                if self._unframed:
                    self.chunked_encoding = False
        elif self._unframed and message["type"] == "http.response.body":
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


class RefusedCycle(CarefulCycle):
    """One whose body cannot be read to its end: `receive` raises `refused` in place of what came of it."""

    refused: RequestRefused

    @property
    def body(self) -> bytearray:  # type: ignore[override]  # nothing is added to it
        raise self.refused
