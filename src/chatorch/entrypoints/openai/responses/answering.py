"""Going on with a turn that waits: outputs of the client's functions, and what people say to calls of ours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chatorch.domain.model.annotations import NotedMessage
from chatorch.domain.model.call_answers import Answer, CallDecision, CallOutput
from chatorch.domain.model.calls import waits_for_client
from chatorch.domain.model.conversation import JsonObject, ThreadId
from chatorch.domain.model.errors import InvalidField, NotFound, ThreadBusy, ToolCallsOpen
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.run import Run
from chatorch.domain.model.tools import CarriedOutBy
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.commands import AnswerCalls
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.openai.responses.call_inputs import AnswerIn, OutputIn
from chatorch.entrypoints.openai.responses.call_items import AskedCalls
from chatorch.entrypoints.openai.responses.ids import run_id_of
from chatorch.entrypoints.openai.responses.inputs import Inputs
from chatorch.entrypoints.openai.responses.missing import PreviousResponseNotFound
from chatorch.entrypoints.openai.responses.turns import asked_by, turn_before


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


async def waiting_in(principal: Principal, thread_id: ThreadId, annotations: Annotations) -> Waiting:
    """What a conversation ends with."""
    turn = await turn_before(principal, thread_id, annotations)
    return Waiting(thread_id, turn.calls, turn.metadata)


async def answer(principal: Principal, said: AnswerCalls, given: Inputs, asked: AskedCalls, runs: Runs) -> Run:
    """`said` has no answers yet: `given` has them. Raises as `Runs.answer_calls`, in words of the request."""
    answers = tuple(_answer(each, asked) for each in given.answers)
    _require_once(given.answers, answers)
    try:
        return await runs.answer_calls(principal, replace(said, answers=answers))
    except ToolCallsOpen as error:
        raise ToolCallsOpen([_named(call_id, asked) for call_id in error.call_ids]) from None
    except NotFound:
        raise InvalidField(given.field, "answers calls that are there no more") from None


def require_answers_alone(given: Inputs, metadata: JsonObject | None, kept: JsonObject) -> None:
    """There is no message to keep anything with. Raises `InvalidField`."""
    if metadata and metadata != kept:
        raise InvalidField("metadata", "can only be that of the message that is answered, where calls are")
    if given.messages and given.places:
        problem = "must not stand beside answers to calls: send it with the id of the response to these"
        raise InvalidField(f"{given.field}.{given.places[0]}", problem)


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


def _require_once(given: Sequence[AnswerIn], answers: Sequence[Answer]) -> None:
    seen: set[str] = set()
    for each, answered in zip(given, answers, strict=True):
        if answered.call_id in seen:
            name = "call_id" if isinstance(each, OutputIn) else "approval_request_id"
            raise InvalidField(f"{each.field}.{name}", "is answered twice")
        seen.add(answered.call_id)


def _is_request(call_id: str, asked: AskedCalls) -> bool:
    call = asked[call_id].call
    return waits_for_client(call) and call.head["by"] == CarriedOutBy.SERVER


def _named(call_id: str, asked: AskedCalls) -> str:
    """As the client knows it."""
    return asked[call_id].request_id if call_id in asked and _is_request(call_id, asked) else call_id
