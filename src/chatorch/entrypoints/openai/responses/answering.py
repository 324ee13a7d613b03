"""Going on with a turn that waits: outputs of the client's functions, and what people say to calls of ours."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chatorch.domain.model.annotations import NotedMessage
from chatorch.domain.model.call_answers import Answer, CallDecision, CallOutput
from chatorch.domain.model.calls import waits_for_client
from chatorch.domain.model.conversation import JsonObject, Message, ThreadId
from chatorch.domain.model.errors import InvalidField, NotFound, RoleNotAllowed, ThreadBusy, ToolCallsOpen
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.run import Run
from chatorch.domain.model.tools import CarriedOutBy
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.commands import AnswerCalls
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.openai.responses.call_inputs import AnswerIn, ApprovalIn, OutputIn
from chatorch.entrypoints.openai.responses.call_items import AskedCalls
from chatorch.entrypoints.openai.responses.going_on import MAX_LATER, noted
from chatorch.entrypoints.openai.responses.ids import run_id_of
from chatorch.entrypoints.openai.responses.inputs import Inputs
from chatorch.entrypoints.openai.responses.missing import PreviousResponseNotFound
from chatorch.entrypoints.openai.responses.turns import asked_by, turn_before

_KINDS: Mapping[str, type[AnswerIn]] = {"outputs": OutputIn, "decisions": ApprovalIn}
"""Which of the client's items are what the domain calls so."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A turn whose calls are answered: those that it asked for, and what was kept with the user's message."""

    thread_id: ThreadId
    calls: AskedCalls
    metadata: JsonObject


async def waiting_response(principal: Principal, previous: str, *, runs: Runs, annotations: Annotations) -> Waiting:
    """The one that asked. Raises `PreviousResponseNotFound` and `ThreadBusy`."""
    try:
        run = await runs.read(principal, run_id_of(previous))
        await annotations.read(principal, run.thread_id, run.message_id)
        question = await annotations.read(principal, run.thread_id, run.user_message_id)
    except NotFound:
        raise PreviousResponseNotFound from None
    if run.status.live:
        raise ThreadBusy(run.id)
    metadata = question.message.metadata if isinstance(question, NotedMessage) else {}
    return Waiting(run.thread_id, asked_by(run.id, run), metadata)


async def waiting_in(principal: Principal, thread_id: ThreadId, annotations: Annotations, key: str | None) -> Waiting:
    """What a conversation ends with; or ended with, before the message that came under the idempotency `key`."""
    turn = await turn_before(principal, thread_id, annotations, await _asked_by(principal, thread_id, annotations, key))
    return Waiting(thread_id, turn.calls, turn.metadata)


async def answer(principal: Principal, said: AnswerCalls, given: Inputs, asked: AskedCalls, runs: Runs) -> Run:
    """`said` has no answers yet: `given` has them. Raises as `Runs.answer_calls`, in words of the request."""
    answers = tuple(_answer(each, asked) for each in given.answers)
    try:
        return await runs.answer_calls(principal, replace(said, answers=answers, messages=given.messages))
    except (InvalidField, RoleNotAllowed) as error:
        raise _refused(error, given) from None
    except ToolCallsOpen as error:
        raise ToolCallsOpen([_named(call_id, asked) for call_id in error.call_ids]) from None
    except NotFound:
        raise InvalidField(given.field, "answers calls that are there no more") from None


async def _asked_by(
    principal: Principal, thread_id: ThreadId, annotations: Annotations, key: str | None
) -> Message | None:
    """The message of the user's that came under the key, if that was not long ago."""
    if key is None:
        return None
    page = await annotations.page(principal, thread_id, limit=MAX_LATER, descending=True)
    said = (item for item in page.items if isinstance(item, NotedMessage))
    return next((item.message for item in said if noted(item.note).get("key") == key), None)


def require_metadata_kept(metadata: JsonObject | None, kept: JsonObject) -> None:
    """Where there is no message to keep anything else with. Raises `InvalidField`."""
    if metadata and metadata != kept:
        raise InvalidField("metadata", "can only be that of the message that is answered, where calls are")


def no_turn(answer: AnswerIn) -> InvalidField:
    """Where nothing goes on."""
    if isinstance(answer, OutputIn):
        problem = "answers no function_call before it, and there is neither previous_response_id nor conversation"
        return InvalidField(f"{answer.field}.call_id", problem)
    return InvalidField(
        f"{answer.field}.type", "needs previous_response_id or conversation: the call waits in what is stored"
    )


def _answer(given: AnswerIn, asked: AskedCalls) -> Answer:
    if isinstance(given, OutputIn):
        found = asked.get(given.call_id)
        if found is None or found.call.head["by"] != CarriedOutBy.CLIENT:
            raise InvalidField(f"{given.field}.call_id", "is no call of a function that waits for an output")
        return CallOutput(given.call_id, given.content)
    requests = {found.request_id: call_id for call_id, found in asked.items() if _is_request(call_id, asked)}
    call_id = requests.get(given.request_id)
    if call_id is None:
        raise InvalidField(f"{given.field}.approval_request_id", "is no request that waits for an answer")
    return CallDecision(call_id, given.approve, given.reason)


def _refused(error: InvalidField | RoleNotAllowed, given: Inputs) -> InvalidField:
    """The same, in words of the request."""
    kind, *place = error.field.split(".") if isinstance(error, InvalidField) else ("messages",)
    said = [each for each in given.answers if isinstance(each, _KINDS.get(kind, ()))]
    if not said or not isinstance(error, InvalidField):
        return given.refused(error)
    each = said[int(place[0])]
    name = "call_id" if isinstance(each, OutputIn) else "approval_request_id"
    return InvalidField(f"{each.field}.{name}", error.problem)


def _is_request(call_id: str, asked: AskedCalls) -> bool:
    call = asked[call_id].call
    return waits_for_client(call) and call.head["by"] == CarriedOutBy.SERVER


def _named(call_id: str, asked: AskedCalls) -> str:
    """As the client knows it."""
    return asked[call_id].request_id if call_id in asked and _is_request(call_id, asked) else call_id
