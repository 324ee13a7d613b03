"""What keeps a log line one line, and secrets and message text out of it: structlog processors and their rules."""

import functools
import re
import sys
import traceback
from types import TracebackType
from typing import Any

from structlog.typing import EventDict

MAX_FRAMES = 30
MAX_CAUSES = 8
MAX_FOREIGN_CHARS = 500
MIN_SECRET_CHARS = 8
REDACTED = "[redacted]"

_SECRET_KEY = re.compile(
    r"(^|[_-])(authorization|token|password|passwd|secret|secret[_-]key|api[_-]?key|cookie|credentials?)$", re.I
)
_SECRET_VALUE = re.compile(
    r"\b(bearer|basic)\s+[\w.~+/=-]{8,}"  # an Authorization header
    r"|\bsk-[\w-]{8,}"  # a key of OpenAI's
    r"|\bek_[\w-]{8,}"  # a client secret of ChatKit's
    r"|\beyJ[\w-]{8,}\.[\w-]+(\.[\w-]*)?"  # a JWT
    r"|(?<=://)[^/\s@]+@",  # the user info of an address
    re.I,
)
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r'^  File "([^"]+)", line (\d+), in (\S+)', re.MULTILINE)
_RAISED = re.compile(r"^([A-Za-z_][\w.]*)(?:$|: ?(.*)$)", re.MULTILINE)


def describe_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Turns `exc_info` into `error`: types and frames, without messages, which may quote text or SQL parameters."""
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else given
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["error"] = _chain(error)
    event.pop("stack_info", None)
    return event


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """The last net: blanks what is named like a secret, or looks like one."""
    for key, value in event.items():
        event[key] = _redacted(key, value)
    return event


def escape_controls(_logger: Any, _method: str, event: EventDict) -> EventDict:
    r"""Makes line breaks, terminal sequences, bidi controls and lone surrogates visible (``\x1b``)."""
    for key, value in event.items():
        if type(value) is str:
            if not value.isprintable():  # nothing printable is unsafe, and this is the quicker question
                event[key] = _escaped(value)
        elif not isinstance(value, int | float | None):
            event[key] = _plain(value)
    return event


def first_line(message: str) -> tuple[str, dict[str, Any]]:
    """A library's message as event and members; a traceback that came as text becomes types and frames.

    Where the traceback ends in an error of our own, such as `StoreLocked`, its text is for the operator, and stays.
    """
    lines = message.strip().splitlines()
    if _TRACEBACK not in lines:  # a cause that has none of its own stands before it
        return (lines or [""])[0][:MAX_FOREIGN_CHARS], {}
    rest = "\n".join(lines)
    kind, text = (_RAISED.findall(rest) or [("unknown", "")])[-1]
    if kind.startswith("chatorch.") and text:
        return text[:MAX_FOREIGN_CHARS], {"error": [{"type": kind}]}
    frames = [f"{file}:{line}:{name}" for file, line, name in _FRAME.findall(rest)]
    return "traceback", {"error": [{"type": kind, "frames": frames[-MAX_FRAMES:]}]}


def _chain(error: BaseException) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting and len(described) < MAX_CAUSES:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        described.append({"type": _type_name(current), "frames": _frames(current.__traceback__)})
        if isinstance(current, BaseExceptionGroup):
            waiting.extend(current.exceptions)
        waiting.append(current.__cause__ or (None if current.__suppress_context__ else current.__context__))
    return described


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _frames(tb: TracebackType | None) -> list[str]:
    places = traceback.StackSummary.extract(traceback.walk_tb(tb), lookup_lines=False)
    return [f"{place.filename}:{place.lineno}:{place.name}" for place in places][-MAX_FRAMES:]


@functools.lru_cache(maxsize=1024)
def _names_secret(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def _redacted(key: str, value: Any) -> Any:
    if value is not None and _names_secret(key):
        return REDACTED
    if isinstance(value, str):
        return _SECRET_VALUE.sub(REDACTED, value) if _may_hold_secret(value) else value
    if isinstance(value, dict):
        return {name: _redacted(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted("", inner) for inner in value]
    return value


def _may_hold_secret(value: str) -> bool:
    """False for nearly everything, at a tenth of what the search costs."""
    if len(value) < MIN_SECRET_CHARS:
        return False
    low = value.lower()
    return "://" in low or "sk-" in low or "ek_" in low or "eyj" in low or "bearer" in low or "basic" in low


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_escaped(str(name)): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, int | float | None) else _escaped(str(value))


def _escaped(text: str) -> str:
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
