"""A thread's messages as AG-UI's snapshot has them."""

from collections.abc import Iterable
from dataclasses import replace

from chatorch.domain.model.call_answers import waiting_calls
from chatorch.domain.model.calls import Standing, results_in, turn_of
from chatorch.domain.model.conversation import Message, MessageId, MessageStatus, Role, ThreadId
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.paging import MAX_LIMIT, MessageCursor, PageRequest
from chatorch.domain.model.tools import CallStatus
from chatorch.domain.services.conversations import Conversations
from chatorch.entrypoints.ag_ui.calls import (
    NOTHING_EARLIER,
    CallNames,
    Earlier,
    Waiting,
    as_message,
    result_id,
    result_members,
)
from chatorch.entrypoints.ag_ui.client_ids import client_id_in, is_ours
from chatorch.entrypoints.ag_ui.events import Json, encode
from chatorch.entrypoints.ag_ui.messages import beside, calls_of, names_of_calls, told_messages
from chatorch.entrypoints.ag_ui.placement import part_id
from chatorch.entrypoints.ag_ui.run_encoder import History

MAX_SNAPSHOT_BYTES = 4 * 1024 * 1024
"""The client gives up on a frame of ten million characters; what is older than fits is left out."""


async def newest(conversations: Conversations, principal: Principal, thread_id: ThreadId) -> list[Message]:
    """The newest messages that a snapshot has room for, oldest first. Raises `NotFound`, `StoreUnavailable`."""
    found: list[Message] = []
    room = MAX_SNAPSHOT_BYTES
    page: PageRequest[MessageCursor] = PageRequest(MAX_LIMIT, descending=True)
    while True:
        messages = await conversations.messages(principal, thread_id, page)
        for message in messages.items:
            room -= len(encode(told_of(message, Standing(), {})))
            if room < 0 and found:
                return found[::-1]
            found.append(message)
        if not messages.has_more or messages.after is None:
            return found[::-1]
        page = PageRequest(MAX_LIMIT, MessageCursor.decode(messages.after), descending=True)


def live_in(messages: list[Message]) -> Message | None:
    """The one that is being written."""
    return next((each for each in reversed(messages) if each.status is MessageStatus.STREAMING and each.run_id), None)


def around(messages: list[Message], message_id: MessageId | None) -> History:
    """All but the one of this id, which whoever follows its run tells, and with it what comes of calls before it."""
    since = [_untold(each) if each.id == message_id else each for each in messages]
    before: list[Json] = []
    after: list[Json] = []
    told = b""
    row, names = before, _names(messages)
    calls: dict[str, str] = {}  # of the turn
    approved: list[Waiting] = []
    earlier, standing = NOTHING_EARLIER, Standing()
    for at, message in enumerate(messages):
        if message.role is Role.USER:
            calls, approved = {}, []
        if message.id == message_id:
            row, standing = after, Standing().then(_since(since, at))
            earlier = Earlier(dict(calls), tuple(approved))
            calls |= names_of_calls(message.id, message.whole)
            continue
        stands = Standing.behind(message, _since(since, at)) if message.parts else Standing()
        shown = told_of(message, stands, calls)
        if shown and message.id in names:
            shown[0]["id"] = names[message.id]
        if message.role is Role.ASSISTANT and message.parts:
            told += b"".join(beside(message.id, message.whole, calls))
            calls |= names_of_calls(message.id, message.whole)
            approved += _made_by_the_next(message, stands)
        row += shown
    return History(tuple(before), tuple(after), told, earlier, standing)


def told_of(message: Message, standing: Standing, calls: CallNames) -> list[Json]:
    """As it was told to who followed. `calls` are those before it in its turn."""
    if message.role is Role.ASSISTANT:
        return told_messages(message.id, message.whole, standing, calls)
    if message.role is not Role.TOOL:
        return [{"id": message.id, "role": message.role.value, "content": message.content}]
    told: list[Json] = []
    for said, part in results_in(message.parts).items():
        call_id, status = calls.get(said, said), str(part.head["status"])
        if called(message) is None:
            members = result_members(call_id, part.body, status)
            told.append(as_message({"messageId": result_id(call_id), **members}))
        else:  # as its client has it
            error = {"error": part.body} if status == CallStatus.FAILED else {}
            told.append({"id": message.id, "role": "tool", "toolCallId": call_id, "content": part.body, **error})
    return told


async def latest(conversations: Conversations, principal: Principal, thread_id: ThreadId) -> list[Message]:
    """At least the turn that a thread ends with, oldest first. Raises `NotFound`, `StoreUnavailable`."""
    found: list[Message] = []
    page: PageRequest[MessageCursor] = PageRequest(MAX_LIMIT, descending=True)
    while True:
        messages = await conversations.messages(principal, thread_id, page)
        found += messages.items
        if not messages.has_more or messages.after is None or any(each.role is Role.USER for each in found):
            return found[::-1]
        page = PageRequest(MAX_LIMIT, MessageCursor.decode(messages.after), descending=True)


def names_in(messages: Iterable[Message]) -> dict[str, str]:
    """What calls of one turn are called here, by what their models call them."""
    named = (names_of_calls(each.id, each.whole) for each in messages if each.role is Role.ASSISTANT)
    return {said: own for names in named for said, own in names.items()}


def waited_for(messages: list[Message]) -> list[Waiting]:
    """The calls that the turn waits for which a thread's messages end with."""
    turn = turn_of(messages)
    names = names_in(turn)
    return [Waiting(names[call.head["id"]], call) for call in waiting_calls(turn)]


def called(message: Message) -> str | None:
    """What its client calls it."""
    return client_id_in(message.metadata) if message.role in {Role.USER, Role.TOOL} else None


def _untold(message: Message) -> Message:
    """As if its run had just begun."""
    return replace(message, status=MessageStatus.STREAMING, content="", parts=())


def _made_by_the_next(message: Message, standing: Standing) -> list[Waiting]:
    """Its calls that were approved of, and of which nothing is known as long as the run lives that makes them."""
    answered = results_in(message.parts)
    calls = ((index, call) for index, call in calls_of(message.whole) if call.head.get("id") not in answered)
    running = ((index, call) for index, call in calls if standing.status_of(call) is CallStatus.RUNNING)
    return [Waiting(part_id(message.id, index), call) for index, call in running]


def _since(messages: list[Message], at: int) -> list[Message]:
    """What was said after one, up to and with the next of the user's."""
    asked = (later for later in range(at + 1, len(messages)) if messages[later].role is Role.USER)
    return messages[at + 1 : next(asked, len(messages)) + 1]


def _names(messages: list[Message]) -> dict[MessageId, str]:
    """What their clients call messages, where that is no id of ours; of several of one name the newest keeps it, since
    a snapshot has none twice."""
    newest = {name: message.id for message in messages if (name := called(message)) and not is_ours(name)}
    return {message_id: name for name, message_id in newest.items()}
