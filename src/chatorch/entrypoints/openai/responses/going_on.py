"""Going on from an earlier response: with the one that is the newest.

A thread is one line, so there is no second answer beside one that is there. Turns that failed, or were stopped, are
another matter: whoever repeats a request that failed names the response before it once more, and what failed makes
room; unless calls were made in it, of which the model is to know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from chatorch.domain.model.annotations import NotedMessage
from chatorch.domain.model.calls import Standing, results_in, statuses_of
from chatorch.domain.model.conversation import JsonObject, MessageId, MessageStatus, Role, RunId, ThreadId
from chatorch.domain.model.errors import InvalidField, NotFound, ThreadBusy
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.tools import MADE
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.openai.responses.ids import response_id, run_id_of
from chatorch.entrypoints.openai.responses.missing import PREVIOUS, PreviousResponseNotFound

NOTE = "response"
"""The name, in the note of the user's message, of what is kept of a request for a response."""
MAX_LATER = 100


@dataclass(frozen=True, slots=True)
class GoingOn:
    """`instead_of`: the user's message that failed to be answered, which the new one replaces."""

    thread_id: ThreadId
    instead_of: MessageId | None = None


def noted(note: JsonObject | None) -> Mapping[str, Any]:
    """What was kept of a request, of the note of the user's message."""
    return (note or {}).get(NOTE) or {}


async def going_on(
    principal: Principal, given: str, *, runs: Runs, annotations: Annotations, key: str | None
) -> GoingOn:
    """Raises `ThreadBusy`, `PreviousResponseNotFound`, and `InvalidField` where another response has followed already:
    a 400 that names the parameter, as OpenAI has it.

    Who used the idempotency `key` for a later one already is asking for that once more.
    """
    try:
        run = await runs.read(principal, run_id_of(given))
        # Which is there no more where it was deleted, or answered in another way.
        await annotations.read(principal, run.thread_id, run.message_id)
        page = await annotations.page(principal, run.thread_id, limit=MAX_LATER, after=run.message_id)
    except NotFound:
        raise PreviousResponseNotFound from None
    later = [item for item in page.items if isinstance(item, NotedMessage)]
    if run.status.live:
        raise ThreadBusy(run.id)
    for item in later:
        known = noted(item.note)
        if key is not None and known.get("key") == key:
            return GoingOn(run.thread_id, known.get("instead_of"))
    for item in later:
        if item.message.status is MessageStatus.STREAMING:
            raise ThreadBusy(item.message.run_id or run.id)
    if page.has_more or any(map(_answered, later)):
        raise InvalidField(PREVIOUS, _followed(later))
    return GoingOn(run.thread_id, _in_vain(later))


def _answered(item: NotedMessage) -> bool:
    return item.message.run_id is not None and item.message.status is MessageStatus.COMPLETE


def _in_vain(later: list[NotedMessage]) -> MessageId | None:
    """The first message of the user's that was to be answered, behind all calls that were made."""
    made = max((at for at, item in enumerate(later, 1) if _has_made_calls(item)), default=0)
    for item, following in pairwise(later[made:]):
        if item.message.role is Role.USER and following.message.run_id is not None:
            return item.message.id
    return None


def _has_made_calls(item: NotedMessage) -> bool:
    """Of ours, or perhaps made."""
    if item.message.role is not Role.ASSISTANT:
        return False
    results = (result.head["status"] for result in results_in(item.message.parts).values())
    standing = statuses_of(item.message.whole, Standing.behind(item.message, ())).values()
    return not MADE.isdisjoint((*results, *standing))


def _followed(later: list[NotedMessage]) -> str:
    newest = next((item.message.run_id for item in reversed(later) if item.message.run_id), None)
    return f"was followed by another response already{_hint(newest)}"


def _hint(newest: RunId | None) -> str:
    return f"; go on from the newest, {response_id(newest)}" if newest else ""
