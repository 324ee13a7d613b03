"""The id that ties a request, its answer and its log lines together."""

import re
from contextvars import ContextVar
from random import getrandbits

HEADER = b"x-request-id"

_SANE = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def begin_request(offered: bytes | None) -> str:
    """Takes over the id that the client sent where it is sane (1 to 128 of ``A-Za-z0-9._-``), else makes one."""
    request_id = (
        offered.decode("ascii") if offered is not None and _SANE.fullmatch(offered) else f"{getrandbits(128):032x}"
    )
    _current.set(request_id)
    return request_id


def current_request_id() -> str | None:
    """The request's that is being answered here; None outside of one."""
    return _current.get()
