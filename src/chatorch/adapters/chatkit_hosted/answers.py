"""What `beta.chatkit` answers, as what it means. `UpstreamInvalid` for whatever else comes with status 200."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from chatorch.domain.model.chatkit_hosted.history import HostedItem, HostedThread, is_hosted_id
from chatorch.domain.model.chatkit_hosted.paging import HostedCursor
from chatorch.domain.model.chatkit_hosted.session import ClientSecret, IssuedSession
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import Page
from chatorch.domain.model.upstream_errors import UpstreamInvalid

Json = dict[str, Any]
T = TypeVar("T")

TYPE_PREFIX = "chatkit."
STATUSES = frozenset({"active", "locked", "closed"})
MAX_TEXT_DEPTH = 64
LAST_TIME = 4_102_444_800

_PRINTABLE = re.compile(r"[\x21-\x7e]{1,4096}")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def to_issued(answer: Json) -> IssuedSession:
    secret = answer.get("client_secret")
    if not isinstance(secret, str) or not _PRINTABLE.fullmatch(secret):
        raise UpstreamInvalid
    return IssuedSession(_id(answer, "id"), ClientSecret(secret), _time(answer.get("expires_at")))


def to_thread(answer: Json) -> HostedThread:
    title, user, status = answer.get("title"), answer.get("user"), answer.get("status")
    kind = status.get("type") if isinstance(status, dict) else None
    if not isinstance(user, str) or not isinstance(title, str | None) or kind not in STATUSES:
        raise UpstreamInvalid
    return HostedThread(_id(answer, "id"), UserId(user), _clean(title), str(kind), _time(answer.get("created_at")))


def to_item(answer: Json) -> HostedItem:
    kind = answer.get("type")
    if not isinstance(kind, str):
        raise UpstreamInvalid
    own = {"id", "object", "type", "thread_id", "created_at"}
    return HostedItem(
        id=_id(answer, "id"),
        thread_id=_id(answer, "thread_id"),
        type=str(_clean(kind.removeprefix(TYPE_PREFIX))),
        created_at=_time(answer.get("created_at")),
        members={str(_clean(name)): _clean(value) for name, value in answer.items() if name not in own},
    )


def to_page(answer: Json, to: Callable[[Json], T]) -> Page[T]:
    """The next page begins after the last thing of this one."""
    data = answer.get("data")
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise UpstreamInvalid
    items = tuple(to(one) for one in data)
    more = answer.get("has_more") is True and bool(items)
    return Page(items, HostedCursor(_id(data[-1], "id")).encode() if more else None)


def _id(answer: Json, name: str) -> str:
    given = answer.get(name)
    if not isinstance(given, str) or not is_hosted_id(given):
        raise UpstreamInvalid
    return given


def _time(given: object) -> datetime:
    """Seconds since 1970, until the year 2100."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < LAST_TIME:
        raise UpstreamInvalid
    return datetime.fromtimestamp(given, UTC)


def _clean(value: Any, depth: int = 0) -> Any:
    """What no JSON of ours could hold is replaced, as in what a model says."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if depth > MAX_TEXT_DEPTH:
        raise UpstreamInvalid
    if isinstance(value, dict):
        return {str(_clean(name)): _clean(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner, depth + 1) for inner in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
