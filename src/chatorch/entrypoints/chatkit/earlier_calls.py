"""The calls of the message before, which a run carries out, or tells the model of."""

from collections.abc import Iterable, Iterator, Mapping

from chatorch.domain.model.call_answers import Answer
from chatorch.domain.model.calls import AFTERWARDS, Standing, offered, results_in, waits_for_client
from chatorch.domain.model.conversation import Message
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.tools import CallStatus
from chatorch.entrypoints.chatkit.call_items import call_item, is_ours, progress_text
from chatorch.entrypoints.chatkit.call_states import NOTHING_KEPT, CallStates
from chatorch.entrypoints.chatkit.part_items import Json, part_id


class EarlierCalls:
    """`standing` is that of `message`, and `kept` as of `CallStates`; what the run says of its calls is heard here."""

    def __init__(self, message: Message, standing: Standing, kept: Mapping[str, Answer] = NOTHING_KEPT) -> None:
        self._message = message
        self._standing = standing
        self._kept = kept
        answered = results_in(message.parts)
        self._indexes = {
            str(part.head["id"]): index
            for index, part in enumerate(message.parts)
            if part.kind is PartKind.TOOL_CALL
            and offered(part)
            and waits_for_client(part)
            and part.head["id"] not in answered
        }
        self.hear_all(())

    def hear_all(self, parts: Iterable[Part]) -> None:
        """All that the run has said so far, whatever was heard before."""
        said = (part for part in parts if part.kind in AFTERWARDS)
        self._states = CallStates((*self._message.parts, *said), self._standing, self._kept)

    def hear(self, part: Part) -> str | None:
        """The call that a part tells something new of, if it is one of these."""
        call_id = self._states.hear(part) if part.kind in AFTERWARDS else None
        return call_id if call_id in self._indexes else None

    def items(self) -> Iterator[Json]:
        return map(self.item, self._indexes)

    def item(self, call_id: str) -> Json:
        index = self._indexes[call_id]
        call, message = self._message.parts[index], self._message
        placed = {"thread_id": message.thread_id, "created_at": message.created_at}
        return {**placed, **call_item(message.id, index, call, self._states.of(call))}

    def progress(self, call_id: str) -> tuple[str, Json] | None:
        """Of a call of ours that runs still: its item, and the part of it that tells how it gets on."""
        index = self._indexes[call_id]
        state = self._states.of(call := self._message.parts[index])
        runs = is_ours(call) and state.status is CallStatus.RUNNING
        return (part_id(self._message.id, index), progress_text(state)) if runs else None

    def over(self) -> list[Json]:
        """The run has ended: those that nothing came of."""
        open_still = [
            each for each, at in self._indexes.items() if not self._states.of(self._message.parts[at]).settled
        ]
        self._states.now(Standing(complete=True, gone_on=False))
        return [self.item(call_id) for call_id in open_still]
