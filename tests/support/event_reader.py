"""Reading server-sent events as they arrive, however the bytes are cut."""

import json
import math
import time
from typing import Any

from tests.support.message_fold import SPAN, MessageFold
from tests.support.server import shown

TERMINAL = frozenset({"run.completed", "run.failed", "run.cancelled", "run.interrupted"})

Event = dict[str, Any]


class EventReader:
    """`events` are those that are whole so far, `times` (monotonic) when each was; `pings` counts the comments.

    What is not exactly as a run's events must look on the wire fails here.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.times: list[float] = []
        self.pings = 0
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            self._add(block.decode())

    def _add(self, block: str) -> None:
        if block == ": ping":
            self.pings += 1
            return
        id_line, type_line, data_line = block.split("\n")
        event = json.loads(data_line.removeprefix("data: "))
        assert (id_line, type_line) == (f"id: {event['seq']}", f"event: {event['type']}"), block
        self.events.append(event)
        self.times.append(time.monotonic())

    @property
    def text(self) -> str:
        return shown(self.events)

    @property
    def position(self) -> int:
        """What a browser would send as ``Last-Event-ID``; 0 before the first event."""
        return self.events[-1]["seq"] if self.events else 0

    @property
    def terminals(self) -> list[Event]:
        return [event for event in self.events if event["type"] in TERMINAL]

    def first_seen_after(self, length: int) -> float:
        """When text beyond this length came first; for ever in the future where none did."""
        times = zip(self.events, self.times, strict=True)
        return min((at for event, at in times if event["seq"] > 1 + length), default=math.inf)


class Screen:
    """What a client shows of one run over any number of connections: delta appends, snapshot replaces, terminal ends.

    `position` goes into the next connection. A gap or a repeat fails here.
    """

    def __init__(self) -> None:
        self.position = 0
        self.snapshots = 0
        self.terminals: list[Event] = []
        self._run_id: str | None = None
        self._message = MessageFold()

    @property
    def text(self) -> str:
        return self._message.text

    @property
    def parts(self) -> list[Event]:
        return self._message.parts

    def show(self, events: list[Event]) -> None:
        for event in events:
            self._show(event)

    def _show(self, event: Event) -> None:
        assert not self.terminals, f"{event} after {self.terminals}"
        assert event["run_id"] == (self._run_id or event["run_id"])
        self._run_id = event["run_id"]
        self._message.show(event)
        match event["type"]:
            case "run.started":
                assert (self.position, event["seq"] % SPAN) == (0, 1)
            case "message.delta" | "part.delta":
                assert event["seq"] == self.position + len(event["text"]), f"{event} at {self.position}"
            case "part.started" | "part.ended":
                assert event["seq"] == self.position + 1, f"{event} at {self.position}"
            case "message.snapshot":
                self.snapshots += 1
                assert event["seq"] % SPAN in self._message.tips
            case kind:
                assert kind in TERMINAL
                assert event["seq"] > self.position
                self.terminals.append(event)
        self.position = event["seq"]
