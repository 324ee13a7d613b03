"""Telling the calls of a response, and what came of them."""

from dataclasses import replace

import msgspec

from chatorch.domain.model.parts import Facts, Part, PartKind
from chatorch.entrypoints.openai.responses.call_items import ApprovalItem, McpCallItem, approved_item
from chatorch.entrypoints.openai.responses.frames import Said
from chatorch.entrypoints.openai.responses.items import COMPLETED, INCOMPLETE
from chatorch.entrypoints.openai.responses.telling import ADDED, DONE, Open, Result, Telling, Waiting

_encode = msgspec.json.Encoder().encode


class TellingCalls(Telling):
    """A call of ours stays open behind its arguments, beside what follows, until there is a result."""

    def _start_result(self, index: int, part: Part) -> bytes:
        """It is told when it is whole, where it answers a call of ours."""
        if (found := self._call_of(index, part.head)) is None:
            return b""
        place, result = found
        told = self._close(COMPLETED)
        place = place if result.told else len(self.state.items)
        new = Open(result.item, None, place, b"", Said(), result)
        self.state = self.state._replace(held="", told=0, open=new)
        return told

    def _call_of(self, index: int, head: Facts) -> tuple[int, Result] | None:
        """With its place, where it has one."""
        call_id = str(head["call_id"])
        for place, found in enumerate(self.state.items):
            if isinstance(found, Waiting) and found.item.call_id == call_id:
                return place, Result(found.item, found.arguments, head, told=True)
        if (asked := self._view.asked.get(call_id)) is None:
            return None
        item = approved_item(self._view.run_id, index, asked)
        return -1, Result(item, asked.call.body, head, told=False)

    def _called(self, now: Open) -> bytes:
        """A call is whole."""
        text, state = self._text(), self.state
        if isinstance(now.item, McpCallItem):
            waits = Waiting(now.item, text)
            self.state = state._replace(held="", told=0, open=None, items=(*state.items, waits))
            return self._events(now.item.closing(now.place, text))
        if isinstance(now.item, ApprovalItem) and not now.item.asks(text):
            self.state = state._replace(held="", told=0, open=None)
            return b""
        told = b"" if now.kind else self._event(ADDED, output_index=now.place, item=now.item.view(text, COMPLETED))
        self.state = self.state._replace(open=replace(now, kind=PartKind.TOOL_CALL))
        return told + self._close(COMPLETED)

    def _answered(self, place: int, result: Result) -> bytes:
        """What came of a call of ours is whole."""
        said, items, item = self._text(), list(self.state.items), result.item
        told = b"" if result.told else self._events(item.at_once(place, result.arguments))
        whole = _encode(item.answered(result.arguments, result.head, said))
        items[place : place + 1] = [whole]
        self.state = self.state._replace(held="", told=0, open=None, items=tuple(items))
        told += self._events([item.ending(place, result.head)])
        return told + self._event(DONE, output_index=place, item=msgspec.Raw(whole))

    def _leave(self) -> bytes:
        """The calls that nothing answers any more."""
        told = b""
        for place, item in enumerate(self.state.items):
            if isinstance(item, Waiting):
                whole = _encode(item.item.view(item.arguments, INCOMPLETE))
                items = self.state.items
                self.state = self.state._replace(items=(*items[:place], whole, *items[place + 1 :]))
                told += self._event(DONE, output_index=place, item=msgspec.Raw(whole))
        return told
