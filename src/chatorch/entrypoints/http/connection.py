"""uvicorn's HTTP/1 connection, mended where real clients trip over it. uvicorn is asked for it by name (`HTTP`).

- A request that offers an upgrade to anything but WebSocket is served as it stands (RFC 9110, 7.8). uvicorn's parser
  takes what follows such a head for the other protocol, so the body would be lost.
- HTTP/1.0 knows no chunks (RFC 9112, 6.1): what has no length ends with the connection.
- An answer that comes before the whole body has: the rest is read on and dropped, up to a bound. Closing while the
  client still sends would reset the connection, and the answer would be lost on the way (RFC 9112, 9.6).
"""

from collections.abc import Iterable
from typing import Any

import httptools
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HTTP = f"{__name__}:HttpConnection"

HOP_BY_HOP = frozenset({b"upgrade", b"http2-settings"})
CHUNKLESS = frozenset({"0.9", "1.0"})


class Cycle(RequestResponseCycle):
    """A request and its response."""

    @classmethod
    def take_over(cls, cycle: RequestResponseCycle) -> None:
        """Makes `cycle` one of these: uvicorn names the class itself where it makes one."""
        keep_alive = cycle.__dict__.pop("keep_alive")
        cycle.__class__ = cls
        cycle.keep_alive = keep_alive

    @property
    def keep_alive(self) -> bool:
        """Also once the answer is complete, while its request still comes: the connection closes when that is read."""
        return self._keep_alive or self.unread

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


class HttpConnection(HttpToolsProtocol):
    """`drop_…`: how much of a body is read on when its answer is out, how long, and how long nothing may come."""

    cycle: Cycle
    drop_bytes = 64 * 1024 * 1024
    drop_s = 30.0
    drop_silence_s = 5.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._upgrade_ignored = False
        self._droppable = 0
        self._drop_until = 0.0

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        dropped = self._dropping
        rest: bytes | None = data
        while rest is not None:
            rest = self._feed(rest)
        if self._dropping:
            self._wait_for_rest()
        elif dropped and self.cycle.response_complete:  # else the next request came at once
            self._close_after(self.timeout_keep_alive)

    def _feed(self, data: bytes) -> bytes | None:
        """Parses; what is returned must be parsed next."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            if self._dropping:  # it has had its answer
                self.transport.close()
            else:
                self.send_400_response("Invalid HTTP request received.")
        except httptools.HttpParserUpgrade as upgrade:
            if self._upgrade_ignored:
                self._upgrade_ignored = False
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
                return self._head_without_upgrade() + data[upgrade.args[0] :]
            if not self.transport.is_closing() and self._should_upgrade():
                self.handle_websocket_upgrade()
        return None

    # -- upgrades --------------------------------------------------------------------------------------------------

    def _should_upgrade(self) -> bool:
        """A handshake is a GET of HTTP/1.1 (RFC 6455, 4.1). Who names several protocols leaves the choice to us."""
        return (
            self.ws_protocol_class is not None
            and self.scope["method"] == "GET"
            and self.scope["http_version"] not in CHUNKLESS
            and b"websocket" in _tokens(self.headers, b"upgrade")
        )

    def handle_websocket_upgrade(self) -> None:
        others = [(name, value) for name, value in self.headers if name != b"upgrade"]
        self.scope["headers"] = [*others, (b"upgrade", b"websocket")]
        super().handle_websocket_upgrade()

    def _head_without_upgrade(self) -> bytes:
        """The head as if nothing had been offered."""
        scope = self.scope
        lines = [b"%b %b HTTP/%b" % (scope["method"].encode(), self.url, scope["http_version"].encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in _tokens([(name, value)], name) if token not in HOP_BY_HOP]
                lines.append(b"connection: " + b", ".join(kept))
            elif name not in HOP_BY_HOP:
                lines.append(name + b": " + value)
        return b"\r\n".join([*lines, b"", b""])

    # -- called by the parser --------------------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        if self.transport.is_closing():  # what follows the last request is never begun
            return
        method = self.parser.get_method()
        self.scope["http_version"] = self.parser.get_http_version()
        self.scope["method"] = method.decode("ascii")
        self._upgrade_ignored = self.parser.should_upgrade() and method != b"CONNECT" and not self._should_upgrade()
        if self._upgrade_ignored:
            return
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is before:  # a handshake
            return
        if self.scope["http_version"] in CHUNKLESS:
            CarefulCycle.take_over(self.cycle)
            self.cycle.keep_alive = self.cycle.waiting_for_100_continue = False
        else:
            (CarefulCycle if self.expect_100_continue else Cycle).take_over(self.cycle)

    def on_body(self, body: bytes) -> None:
        if self._dropping:
            self._droppable -= len(body)
        elif not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrade_ignored:
            return
        if self._dropping:
            self._dropped_all()
        elif not self.transport.is_closing():
            super().on_message_complete()

    # -- the rest of a body whose answer is out ----------------------------------------------------------------------

    @property
    def _dropping(self) -> bool:
        return self._drop_until > 0

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # Of pipelined requests the newest may still be coming, but only one that has begun is answered.
        if self.cycle.unread and not self.transport.is_closing():
            self._droppable = self.drop_bytes
            self._drop_until = self.loop.time() + self.drop_s
            self._wait_for_rest()

    def _wait_for_rest(self) -> None:
        left_s = self._drop_until - self.loop.time()
        self._unset_keepalive_if_required()
        if left_s <= 0 or self._droppable < 0:
            self.transport.close()
        else:
            self._close_after(min(left_s, self.drop_silence_s))

    def _dropped_all(self) -> None:
        self._drop_until = 0.0
        self.cycle.more_body = False
        if self.cycle.last:
            self.transport.close()

    def _close_after(self, seconds: float) -> None:
        """Unless something comes."""
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)


def _tokens(headers: Iterable[tuple[bytes, bytes]], named: bytes) -> list[bytes]:
    """The members of a list that may stand in several headers, in small letters."""
    return [
        token
        for name, value in headers
        if name == named
        for part in value.split(b",")
        if (token := part.strip().lower())
    ]
