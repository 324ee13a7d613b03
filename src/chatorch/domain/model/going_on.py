"""Turns that are answered once more after a run that did not end well: from what was done, where calls were made."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from chatorch.domain.model.calls import AFTERWARDS, calls_in, kept_content, offered, turn_of
from chatorch.domain.model.conversation import Message, MessageStatus, Role, RunId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.text import blank


@dataclass(frozen=True, slots=True)
class Attempt:
    """An answer that a run gave in a turn. `kept` is up to where its content stands, whatever became of the run: more
    than 0 where it made calls, or was about to."""

    run_id: RunId
    position: int
    status: MessageStatus
    kept: int = 0


def to_go_on_from(turn: Sequence[Attempt], retried: RunId | None = None) -> Attempt | None:
    """The answer behind which a turn is gone on with, once its user asks for it again: where it did not end well, and
    calls were made up to there. None where everything is asked anew.

    `turn` has those that stand, oldest first. The newest counts; after a turn that ended well, the one that is named:
    who asks twice to go on from there must not have its calls made again.
    """
    candidates = [*turn[-1:], *(attempt for attempt in turn if attempt.run_id == retried)]
    for attempt in candidates:
        made = any(each.kept for each in turn if each.position <= attempt.position)
        if made and attempt.status is MessageStatus.INCOMPLETE:
            return attempt
    return None


def upto_kept(history: Sequence[Message], kept: int | None) -> Sequence[Message]:
    """A history whose last message is an answer to go on from, of which that stands; None where it is none."""
    if kept is None:
        return history
    return [*history[:-1], history[-1].holding(kept_content(history[-1].whole, kept))]


def broken_off(messages: Sequence[Message], since: Iterable[Message]) -> bool:
    """Whether the last one is an answer that did not end well, and that another run goes on from: the next that said
    anything `since`, or the one that is to begin. A message that was refused may be missing between two answers, of
    which the later is blank then."""
    if messages[-1].role is not Role.ASSISTANT or messages[-1].status is not MessageStatus.INCOMPLETE:
        return False
    if not any(calls_in(message.parts) for message in turn_of(messages)):
        return False
    then = next((later for later in since if later.parts or not blank(later.content)), None)
    return then is None or then.role is Role.ASSISTANT


def finished_steps(message: Message) -> Message:
    """Without what its model began to say behind its last calls: no model goes on in the midst of a sentence."""
    ends = (at for at, part in enumerate(message.parts, 1) if part.kind in AFTERWARDS or _asks(part))
    parts = message.parts[: max(ends, default=0)]
    return replace(message, content="".join(each.body for each in parts if each.kind is PartKind.TEXT), parts=parts)


def _asks(part: Part) -> bool:
    return part.kind is PartKind.TOOL_CALL and offered(part)
