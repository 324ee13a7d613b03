"""What a client makes of a run's events, whichever door they come by: a delta appends, a snapshot replaces, a part's
events begin and complete it. All that a client needs is here; nothing of it is the service's own code.
"""

from typing import Any

Event = dict[str, Any]
Part = dict[str, Any]

BODY = {"text": "text", "reasoning": "text", "tool_call": "arguments", "tool_result": "content"}
SPAN = 2**32


class MessageFold:
    """Shows one message. Whoever wants its text only listens to ``message.*`` and reads `text`."""

    def __init__(self) -> None:
        self._parts: dict[int, Part] = {}
        self._begin()

    def _begin(self) -> None:
        self._parts = {0: {"type": "text", "text": ""}}

    @property
    def text(self) -> str:
        return "".join(part["text"] for part in self._parts.values() if part["type"] == "text")

    @property
    def parts(self) -> list[Part]:
        """As answers and lists have them."""
        if len(self._parts) == 1:
            return [dict(part) for part in self._parts.values() if part["text"]]
        shown = ((index, part) for index, part in self._parts.items() if index or part["text"])
        return [{"index": index, **part} for index, part in shown]

    @property
    def tips(self) -> tuple[int, int]:
        """The position of what is shown: while the last part is open, and once it has ended."""
        others = len(self._parts) - 1
        bodies = sum(len(part[BODY[part["type"]]]) for part in self._parts.values() if part["type"] in BODY)
        at = 1 + bodies + 2 * others
        return (at - 1, at) if others else (at, at)

    def show(self, event: Event) -> None:
        match event["type"]:
            case "run.started":
                self._begin()
            case "message.delta" | "part.delta":
                part = self._parts[event.get("index", 0)]
                part[BODY[part["type"]]] += event["text"]
            case "part.started":
                self._start(event["index"], event["part"])
            case "part.ended":
                self._parts[event["index"]] |= event["part"]
            case "message.snapshot":
                self._replace(event)
            case _:
                self._end()

    def _start(self, index: int, head: Part) -> None:
        assert index == max(self._parts) + 1, f"part {index} after {max(self._parts)}"
        part = self._parts[index] = dict(head)
        if name := BODY.get(part["type"]):
            part[name] = ""
        if part["type"] == "tool_call":
            part |= {"status": "pending", "needs_approval": False}

    def _replace(self, event: Event) -> None:
        self._begin()
        if "parts" in event:
            self._parts |= {part["index"]: {n: v for n, v in part.items() if n != "index"} for part in event["parts"]}
        else:
            self._parts[0]["text"] = event["text"]
        assert self.text == event["text"], event

    def _end(self) -> None:
        """Nobody carries out what is not whole."""
        for part in self._parts.values():
            if part["type"] == "tool_call" and part["status"] == "pending":
                part["status"] = "not_executed"


def folded(events: list[Event], onto: MessageFold | None = None) -> MessageFold:
    fold = onto or MessageFold()
    for event in events:
        fold.show(event)
    return fold
