"""What comes on a connection, parsed part by part, and bounded: in bytes, in requests that wait, and in time.

httptools tells what it has found, and holds back the rest: a header that does not end, blanks, chunk extensions and
trailers. So bytes are counted as they come, and what a message carries is taken off again. A part never goes beyond the
end of a head, or of a body whose length is known: of requests that come at once no more are parsed than are wanted.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Any, cast

import httptools

from chatorch.entrypoints.common.connection.cycle import Cycle
from chatorch.entrypoints.common.connection.flow import Flow
from chatorch.entrypoints.common.connection.heads import refusal_of
from chatorch.entrypoints.common.connection.of_uvicorn import HttpToolsProtocol, RequestResponseCycle
from chatorch.entrypoints.common.connection.patience import Patience
from chatorch.entrypoints.common.connection.pieces import Pieces
from chatorch.entrypoints.common.refused import (
    BODY_LATE,
    HEAD_LATE,
    HEAD_TOO_LARGE,
    SCOPE_KEY,
    URI_TOO_LONG,
    RequestRefused,
    broken,
)

HEAD_END = b"\r\n\r\n"


class Reading(HttpToolsProtocol, ABC):
    """`max_…` are bytes, but `max_headers` and `max_waiting`, the requests that wait for those before them.

    `head_s`: how long a head may take from its first byte, or from the connection's begin. `body_s`: in this time the
    body must end, or `body_least` of it come, as long as it is the client that is waited for. `linger_…`: what is
    still read of a request that was refused, so that the answer arrives.
    """

    # More attributes beside uvicorn's many would slow down all of them: CPython shares no more than 30 keys.
    __slots__ = (
        "_begun",
        "_body_came",
        "_body_left",
        "_held",
        "_in_head",
        "_lingerable",
        "_overhead",
        "_patience",
        "_refusal",
        "_window_ends",
    )

    max_url = 16 * 1024
    max_head = 64 * 1024
    max_headers = 128
    max_waiting = 8
    max_part = 16 * 1024
    head_s = 10.0
    body_s = 30.0
    body_least = 16 * 1024
    linger_s = 2.0
    linger_bytes = 1024 * 1024

    cycle: RequestResponseCycle
    flow: Flow

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._begun = False
        self._overhead = 0
        self._body_left: int | None = 0
        self._body_came = 0
        self._window_ends = 0.0
        self._held = b""
        self._lingerable = self.linger_bytes
        self._refusal: RequestRefused | None = None
        self._patience = Patience(self.loop)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport)
        transport.set_protocol(Pieces(self, self.server_state))
        self._patience.wait(self.head_s, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.end()
        self._held = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._refusal is not None:
            self._overhear(len(data))
        elif self._held:
            self._hold(self._held + data)
        else:
            self._read(data)

    # -- parts -----------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        start, size = 0, len(data)
        while start < size:
            if self.pipeline:
                self._hold(data[start:])
                return
            end = self._end_of_head(data, start) if self._in_head else self._end_of_part(start, size)
            self._overhead += end - start
            if self._overhead > self.max_head:
                self._refuse(self._too_much())
                return
            try:
                self.parser.feed_data(data if end - start == size else data[start:end])
            except (httptools.HttpParserUpgrade, httptools.HttpParserError) as stop:
                rest = self._stopped(stop, data[start:end])
                if rest is None:
                    return
                data, end = rest + data[end:], 0
                size = len(data)
            start = end
        if self._overhead or not self._in_head:
            self._wait_for_more()

    def _end_of_head(self, data: bytes, start: int) -> int:
        """Or of all that is there, where only one head ends in it."""
        size, most = len(data), start + self.max_part
        end = data.find(HEAD_END, start, most) + len(HEAD_END)
        if end < len(HEAD_END) or (size <= most and data.find(HEAD_END, end) < 0):
            return min(size, most)
        return end

    def _end_of_part(self, start: int, size: int) -> int:
        most = min(size, start + self.max_part)
        return most if self._body_left is None else min(most, start + max(self._body_left, 1))

    def _stopped(self, stop: Exception, part: bytes) -> bytes | None:
        """What must be parsed in place of this part; None where all is over."""
        if isinstance(stop, httptools.HttpParserUpgrade):
            return self._upgraded(part, stop.args[0])
        refused = stop.__context__
        self._refuse(refused if isinstance(refused, RequestRefused) else refusal_of(stop))
        return None

    @abstractmethod
    def _upgraded(self, data: bytes, head_ends: int) -> bytes | None:
        """What must be parsed next, where a head that ends there offered another protocol; None for a handshake."""
        ...

    def _hold(self, data: bytes) -> None:
        self._held = data
        self.flow.blocked = True
        self.flow.pause_reading()

    def _read_held(self) -> None:
        """When a request that waited has begun."""
        if not self.pipeline:
            held, self._held = self._held, b""
            self._read(held)
        if not self._held and self._refusal is None:
            self.flow.blocked = False
            self.flow.resume_reading()

    # -- called by the parser --------------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self._begun = True
        self.url += url
        if len(self.url) > self.max_url:
            raise RequestRefused(*URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers are dropped (RFC 9110, 6.5.1): among the headers they would pass for what was asked."""
        if self._in_head:
            headers = self.headers
            if len(headers) >= self.max_headers:
                raise RequestRefused(*HEAD_TOO_LARGE)
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            headers.append((name, value))

    def on_message_complete(self) -> None:
        self._in_head = True
        self._begun = False
        self._overhead = 0
        self._patience.late = None
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    # -- refusing --------------------------------------------------------------------------------------------------

    def _too_much(self) -> RequestRefused:
        if not self._in_head:
            return broken("chunks and trailers say more than the body")
        return RequestRefused(*HEAD_TOO_LARGE) if self._begun else broken("nothing begins")

    def _refuse(self, refused: RequestRefused) -> None:
        """Nothing more is read. The application answers, in its turn: behind the requests that came before this one."""
        self._refusal = refused
        self._held = b""
        self._patience.late = None
        if self.transport.is_closing():
            return
        if self._in_head:
            self._begin_refused(refused)
        elif self.cycle.response_started:
            self.transport.close()
        else:
            self._unfinished().refuse(refused)

    def _begin_refused(self, refused: RequestRefused) -> None:
        before: RequestResponseCycle | None = self.cycle
        named = self._begun and bool(self.url)  # then the method has been read
        method = self.parser.get_method().decode("ascii") if named else "UNKNOWN"
        kept = self.headers if self._begun else []
        HttpToolsProtocol.on_message_begin(self)
        self.headers.extend(kept[: self.max_headers])
        asked = {"method": method, "path": "/", "raw_path": b"/", "query_string": b"", SCOPE_KEY: refused}
        cast("dict[str, Any]", self.scope).update(asked)
        self.cycle = Cycle.last_of(self)
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _overhear(self, size: int) -> None:
        """What still comes behind a refused request is nobody's."""
        if not self.cycle.response_complete:
            self.flow.pause_reading()
        self._lingerable -= size
        if self._lingerable < 0:
            self.transport.close()

    def _linger(self) -> None:
        """The answer is out. Closing while more comes would reset the connection, and the answer with it."""
        self._unset_keepalive_if_required()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._patience.wait(self.linger_s, self.transport.close)

    @abstractmethod
    def body_awaited(self) -> None:
        """A body has begun to be waited for, or goes on to be."""
        ...

    # -- time ------------------------------------------------------------------------------------------------------

    def _wait_for_more(self) -> None:
        if self.transport.is_closing():
            return
        if not self._in_head:
            self._unfinished()
            self._wait_for_body()
        elif self._patience.late is None:
            self._patience.wait(self.head_s, self._head_is_late)

    def _unfinished(self) -> Cycle:
        """The request whose body still comes. Its application has not run yet, or it was one before."""
        if not isinstance(self.cycle, Cycle):
            Cycle.take_over(self.cycle)
        return cast("Cycle", self.cycle)

    def _wait_for_body(self) -> None:
        """Enough of it must come by the end of a window, and from then on something within the time of one."""
        now = self.loop.time()
        if now >= self._window_ends:
            self._window_ends = now + self.body_s
            self._body_came = 0
            self.body_awaited()
        enough = self._body_came >= self.body_least
        self._patience.wait(self.body_s if enough else self._window_ends - now, self._body_is_late)

    def _head_is_late(self) -> None:
        if self.cycle is None and not self._overhead:
            self.transport.close()  # nothing was asked
        else:
            self._refuse(RequestRefused(*HEAD_LATE))

    def _body_is_late(self) -> None:
        if self._in_head or self.cycle.response_started:
            return
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:  # it is the client who waits
            self._wait_for_body()
        else:
            self._refuse(RequestRefused(*BODY_LATE))
