"""Where providers say, in the middle of an answer and with status 200, that they failed."""

import re
from collections.abc import Mapping

from chatorch.adapters.models.upstream.errors import failure_in_stream
from chatorch.domain.model.upstream_errors import UpstreamError, UpstreamTimeout, UpstreamUnavailable

Json = Mapping[str, object]

_BROKEN_OFF = {
    "abort", "aborted", "broken", "cancel", "canceled", "cancelled", "closed", "crash", "crashed", "died", "disconnect",
    "disconnected", "error", "errors", "exception", "expired", "fail", "failed", "failure", "interrupt", "interrupted",
    "killed", "lost", "memory", "oom", "preempt", "preempted", "rate", "shutdown", "terminated",
}  # fmt: skip
_NO_CAPACITY = {"capacity", "insufficient", "overload", "overloaded", "unavailable"}
_TOO_LATE = {"deadline", "timeout", "timedout"}
_LATE_PHRASES = ("timed_out", "time_out", "time_limit")

_FINE = {
    "",
    "0",
    "none",
    "null",
    "ok",
    "success",
    "false",
    "200",
    "pending",
    "processing",
    "queued",
    "running",
    "ping",
    "heartbeat",
    "keep-alive",
}
_NAMES = ("error", "errors", "error_code", "error_msg", "error_message")
# In small letters, as some servers capitalise them
_CODES = ("code", "statuscode", "status_code", "status", "__type")
_ALONE = (
    "detail", "fault", "exception", "errmsg", "err_msg", "errormessage", "errorcode", "error_type", "error_description",
    *_NAMES,
)  # fmt: skip
_ENVELOPES = ("response", "header", "result", "data", "body")


def report_of(value: Json, *, alone: bool) -> UpstreamError | None:
    """The failure that an object reports. `alone`: it is no part of an answer, so that plainer members count too."""
    for name in _NAMES:
        if (said := value.get(name)) is not None and not _is_empty(said):
            return failure_in_stream({"code": said} if name == "error_code" else _inner(said))
    if _means_error(value.get("object")) or _means_error(value.get("type")) or _means_error(value.get("status")):
        return failure_in_stream(value)
    base = value.get("base_resp")
    if isinstance(base, Mapping) and not _is_fine(base.get("status_code")):
        return failure_in_stream({"code": base.get("status_code")})
    return _plain_report(value) if alone else None


def report_in_part(part: Json) -> UpstreamError | None:
    """The failure that a choice, a delta or a message reports."""
    return report_of({name: part[name] for name in ("error", "error_code") if name in part}, alone=False)


def broken_off(reason: object) -> UpstreamError | None:
    """The failure that a finish reason is; None where it is the end of an answer, or no reason at all."""
    if isinstance(reason, Mapping | list):
        inner = reason.values() if isinstance(reason, Mapping) else reason
        found = (broken_off(said) for said in inner if isinstance(said, str))
        return next((failure for failure in found if failure is not None), None)
    if not isinstance(reason, str):
        return None
    words = re.findall(r"[a-z]+", reason.lower())
    phrase = "_".join(words)
    if not _TOO_LATE.isdisjoint(words) or any(late in phrase for late in _LATE_PHRASES):
        return UpstreamTimeout()
    if not _NO_CAPACITY.isdisjoint(words):
        return UpstreamUnavailable("The model's provider broke off its answer for lack of capacity.")
    if not _BROKEN_OFF.isdisjoint(words):
        return UpstreamError("The model's provider says that it broke off its answer.")
    return None


def _plain_report(value: Json) -> UpstreamError | None:
    """Of an object that is nothing but a report: ``{"detail"}``, ``{"code", "message"}``, ``{"success": false}``."""
    value = {name.lower(): said for name, said in value.items()}
    for name in _ALONE:
        if not _is_empty(value.get(name)):
            return failure_in_stream(value)
    for name in _ENVELOPES:
        if isinstance(inner := value.get(name), Mapping) and (failure := report_of(inner, alone=True)):
            return failure
    codes = [code for name in _CODES if not _is_fine(code := value.get(name))]
    said = value.get("message") or value.get("msg")
    if codes and (isinstance(said, str) or isinstance(codes[0], int)):
        return failure_in_stream({"code": codes[0], "type": value.get("type")})
    if value.get("success") is False or (isinstance(said, str) and _is_a_complaint(said, value)):
        return failure_in_stream(value)
    return None


def _is_a_complaint(said: str, value: Json) -> bool:
    """Whether a message alone reports an error: nothing beside it says that all is fine, nor does itself."""
    fine = any(value.get(name) is not None for name in ("status", "code", "statuscode", "event", "state"))
    return not fine and value.get("type") not in {"ping", "status", "heartbeat"} and not _is_fine(said.strip("."))


def _inner(said: object) -> object:
    """Of a list of errors the first."""
    return next((one for one in said if one), None) if isinstance(said, list) else said


def _is_empty(said: object) -> bool:
    """Whether an error is none: nothing in it says anything."""
    if isinstance(said, Mapping):
        return all(_is_empty(inner) for inner in said.values())
    if isinstance(said, list):
        return all(_is_empty(inner) for inner in said)
    return _is_fine(said)


def _is_fine(code: object) -> bool:
    """Whether a code is that of no failure, as far as one can tell: 0, a status below 400, a word like `success`."""
    return not code or (isinstance(code, int) and 100 <= code < 400) or str(code).strip().lower() in _FINE


def _means_error(word: object) -> bool:
    return isinstance(word, str) and word.strip().lower() in {"error", "failed", "failure"}
