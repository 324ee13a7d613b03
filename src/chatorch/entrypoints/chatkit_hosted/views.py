"""Sessions and their history as JSON."""

from chatorch.domain.model.chatkit_hosted.history import HostedItem, HostedThread
from chatorch.domain.services.chatkit_hosted.sessions import OpenedSession
from chatorch.entrypoints.common.views import Json, rfc3339


def session_view(opened: OpenedSession, thread_id: str | None = None) -> Json:
    view = {
        "session_id": opened.session.id,
        "client_secret": opened.secret.reveal(),
        "expires_at": rfc3339(opened.session.expires_at),
        "refresh_at": rfc3339(opened.refresh_at),
    }
    return view if thread_id is None else {**view, "thread_id": thread_id}


def hosted_thread_view(thread: HostedThread) -> Json:
    return {
        "id": thread.id,
        "title": thread.title,
        "status": thread.status,
        "created_at": rfc3339(thread.created_at),
    }


def hosted_item_view(item: HostedItem) -> Json:
    return {
        **item.members,
        "id": item.id,
        "thread_id": item.thread_id,
        "type": item.type,
        "created_at": rfc3339(item.created_at),
    }
