"""A thread's messages as AG-UI's snapshot has them."""

from chatorch.domain.model.conversation import Message, MessageId, MessageStatus, Role, ThreadId
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.paging import MAX_LIMIT, MessageCursor, PageRequest
from chatorch.domain.services.conversations import Conversations
from chatorch.entrypoints.ag_ui.client_ids import client_id_in, is_ours
from chatorch.entrypoints.ag_ui.events import Json, encode
from chatorch.entrypoints.ag_ui.messages import beside, messages_of
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
            room -= len(encode(messages_of(message)))
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
    """All but the one of this id, which whoever follows its run tells."""
    before: list[Json] = []
    after: list[Json] = []
    told = b""
    row, names = before, _names(messages)
    for message in messages:
        if message.id == message_id:
            row = after
            continue
        shown = messages_of(message)
        if message.role is not Role.ASSISTANT:
            shown[0]["id"] = names.get(message.id, message.id)
        elif message.parts:
            told += b"".join(beside(message.id, message.whole))
        row += shown
    return History(tuple(before), tuple(after), told)


def called(message: Message) -> str | None:
    """What its client calls it."""
    return client_id_in(message.metadata) if message.role is Role.USER else None


def _names(messages: list[Message]) -> dict[MessageId, str]:
    """What their clients call messages, where that is no id of ours; of several of one name the newest keeps it, since
    a snapshot has none twice."""
    newest = {name: message.id for message in messages if (name := called(message)) and not is_ours(name)}
    return {message_id: name for name, message_id in newest.items()}
