"""The connection: upgrades, and what is left of a body when its answer is out.

- A request that offers an upgrade to anything but WebSocket is served as it stands (RFC 9110, 7.8). uvicorn's parser
  takes what follows such a head for the other protocol, so the body would be lost.
- An answer that comes before the whole body has: the rest is read on and dropped, up to a bound.
- Of requests and handshakes that come on many connections at once, a few begin in each turn of the loop.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import httptools

from chatorch.entrypoints.common.connection.counted import AdmittedConnection
from chatorch.entrypoints.common.connection.cycle import CHUNKLESS, CarefulCycle, Cycle
from chatorch.entrypoints.common.connection.heads import body_length, resolve_absolute
from chatorch.entrypoints.common.connection.of_uvicorn import ASGI3Application, RequestResponseCycle
from chatorch.entrypoints.common.connection.signal import Signal
from chatorch.entrypoints.common.fair_turns import FairTurns
from chatorch.entrypoints.common.refused import broken

HOP_BY_HOP = frozenset({b"upgrade", b"http2-settings"})


class HttpConnection(AdmittedConnection):
    """`drop_…`: how much of a body is read on when its answer is out, how long, and how long nothing may come.

    `max_unread`: how many bytes of a body are kept for an application that does not ask for them, and one piece more.
    """

    __slots__ = ("_drop_until", "_droppable", "_turns", "_upgrade_ignored")

    max_unread = 16 * 1024
    drop_bytes = 64 * 1024 * 1024
    drop_s = 30.0
    drop_silence_s = 5.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turns = FairTurns.of(self.server_state)
        self._upgrade_ignored = False
        self._droppable = 0
        self._drop_until = 0.0

    def data_received(self, data: bytes) -> None:
        dropped = self._dropping
        super().data_received(data)
        if self._dropping:
            self._wait_for_rest()
        elif dropped and self.cycle.response_complete:  # else the next request came at once
            self._close_after(self.timeout_keep_alive)

    # -- upgrades --------------------------------------------------------------------------------------------------

    def _should_upgrade(self) -> bool:
        """A handshake is a GET of HTTP/1.1 (RFC 6455, 4.1). Who names several protocols leaves the choice to us."""
        return (
            self.ws_protocol_class is not None
            and self.scope["method"] == "GET"
            and self.scope["http_version"] not in CHUNKLESS
            and b"websocket" in _tokens(self.headers, b"upgrade")
        )

    def _upgraded(self, data: bytes, head_ends: int) -> bytes | None:
        if self._upgrade_ignored:
            self._upgrade_ignored = False
            self._overhead = 0
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            return self._head_without_upgrade() + data[head_ends:]
        if not self.transport.is_closing() and self._should_upgrade():
            self._patience.end()
            self._connections.busy(self)
            self._hold(b"")
            self._turns.begin(self._upgrade)
        return None

    def _upgrade(self) -> None:
        if not self.transport.is_closing():
            self.flow.blocked = False
            self.flow.resume_reading()
            self.handle_websocket_upgrade()

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

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._turns.begin(partial(super()._start_asgi_task, cycle, app))

    # -- called by the parser --------------------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        if self.transport.is_closing():  # what follows the last request is never begun
            return
        if len(self.pipeline) >= self.max_waiting:  # behind a body in chunks, whose end only the parser finds
            raise broken("too many requests at once")
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if not self.url.startswith((b"/", b"*")):
            if method == b"CONNECT":
                raise broken("this is no proxy")
            self.url = resolve_absolute(self.url, self.headers)
        if self._full:
            self.require_room()
        length = body_length(version, self.url, self.headers)
        self.scope["http_version"] = version
        self.scope["method"] = method.decode("ascii")
        self._upgrade_ignored = self.parser.should_upgrade() and method != b"CONNECT" and not self._should_upgrade()
        if self._upgrade_ignored:
            return
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is before:  # a handshake
            return
        self.cycle.message_event = Signal()  # nobody has been given uvicorn's own yet
        self._in_head = False
        self._overhead = self._body_came = 0
        self._window_ends = 0.0
        self._body_left = length
        self._patience.late = None
        if self._full or self.expect_100_continue or version in CHUNKLESS:
            self._take_care(version)

    def _take_care(self, version: str) -> None:
        CarefulCycle.take_over(self.cycle)
        if version in CHUNKLESS:
            self.cycle.keep_alive = self.cycle.waiting_for_100_continue = False
        elif self._full:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        size = len(body)
        self._body_came += size
        self._overhead -= 2 * size  # a body in chunks may be as much again in their sizes
        if self._body_left is not None:
            self._body_left -= size
        if self._dropping:
            self._droppable -= size
        elif not self.transport.is_closing():
            super().on_body(body)
            if len(self.cycle.body) > self.max_unread:
                self.flow.pause_reading()

    def on_message_complete(self) -> None:
        if self._in_head:  # a handshake, or an upgrade that is ignored
            return
        super().on_message_complete()
        self.stay()
        if self._dropping:
            self._dropped_all()

    # -- the rest of a body whose answer is out ----------------------------------------------------------------------

    @property
    def _dropping(self) -> bool:
        return self._drop_until > 0

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if isinstance(self.cycle, Cycle) and self.cycle.lingers and self.cycle.response_complete:
            self._linger()
            return
        if self.flow.blocked:
            self._read_held()
        # Of pipelined requests the newest may still be coming, but only one that has begun is answered.
        if isinstance(self.cycle, Cycle) and self.cycle.unread and not self.transport.is_closing():
            self.cycle.body = bytearray()  # nobody will ask for it
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
        if isinstance(self.cycle, Cycle) and self.cycle.last:
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
