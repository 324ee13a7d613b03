"""Everything that can go wrong in the domain, as one tree.

::

    ChatorchError
    ├── InvalidRequest            the request itself is wrong
    │   ├── InvalidField            names the field
    │   ├── RoleNotAllowed
    │   ├── ModelNotAllowed
    │   ├── IdempotencyKeyReused
    │   └── ToolCallsOpen           names the calls that wait for an answer as well
    ├── NotAuthenticated
    │   ├── InvalidGrant            wrong user name or password
    │   └── InvalidToken            missing, broken, expired or revoked
    ├── Forbidden
    │   ├── UserMismatch
    │   ├── GuestThread
    │   └── InsufficientScope
    ├── NotFound                  also what belongs to somebody else
    ├── Conflict
    │   ├── ThreadBusy              carries the live run's id
    │   ├── RunSuperseded           a retry of a turn that left the history
    │   ├── NewerMessages           what may only be asked again while nothing new follows it
    │   ├── ToolCallsAnswered       otherwise, or by something else that was said
    │   └── UsernameTaken
    ├── TooMany                   not now; may carry the limit that is reached
    │   ├── TooManyRuns
    │   ├── TooManyFollowers
    │   ├── TooManyRequests
    │   └── TooManyAttempts         wrong passwords, for a right one too
    ├── Gone                      it was there, and is over for good
    ├── NotConfigured             a setting is missing, without which this is not to be had
    ├── Unavailable               try again later
    │   ├── StoreUnavailable
    │   │   ├── NotWritable         full, or read-only: until somebody acts
    │   │   └── RunUnsettled        the answer is there, its end is not yet stored
    │   ├── Overloaded
    │   └── Draining
    └── UpstreamError             the model did not answer properly: `upstream_errors`

An error carries a stable `code`, never an HTTP status, and a `detail` that is safe to show: no secret, no text of
a message, nothing of an upstream's body. Nor has it a setting's name: the entrypoints add those.
"""

from collections.abc import Sequence
from typing import ClassVar

from chatorch.domain.model.rates import Limit

MOST_NAMED = 20


class ChatorchError(Exception):
    """The root. `code` is stable and part of the contract; `detail` is for people."""

    code: ClassVar[str] = "internal_error"
    default_detail: ClassVar[str] = "An error occurred"

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or self.default_detail
        super().__init__(self.detail)


class InvalidRequest(ChatorchError):
    code = "invalid_request"
    default_detail = "The request is not valid."


class InvalidField(InvalidRequest):
    """One field is wrong. `field` is its path, such as ``messages.0.content``; the value itself is never repeated."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"{field}: {problem}")


class RoleNotAllowed(InvalidRequest):
    code = "role_not_allowed"
    default_detail = "A message with this role is not allowed here."


class ModelNotAllowed(InvalidRequest):
    code = "model_not_allowed"
    default_detail = "This model is not allowed."


class IdempotencyKeyReused(InvalidRequest):
    code = "idempotency_key_reused"
    default_detail = "This idempotency key was used for another request."


class ToolCallsOpen(InvalidRequest):
    """`call_ids` wait for an answer as well."""

    code = "tool_calls_open"
    default_detail = "Other calls of tools wait for an answer too."

    def __init__(self, call_ids: Sequence[str]) -> None:
        self.call_ids = tuple(call_ids)
        super().__init__(f"Calls of tools wait for an answer: {', '.join(self.call_ids[:MOST_NAMED])}.")


class NotAuthenticated(ChatorchError):
    code = "not_authenticated"
    default_detail = "Authentication is required."


class InvalidGrant(NotAuthenticated):
    code = "invalid_grant"
    default_detail = "The user name or the password is wrong."


class InvalidToken(NotAuthenticated):
    code = "invalid_token"
    default_detail = "The access token is missing, invalid or expired."


class Forbidden(ChatorchError):
    code = "forbidden"
    default_detail = "This is not allowed."


class UserMismatch(Forbidden):
    code = "user_mismatch"
    default_detail = "user_id is not the token's own."


class GuestThread(Forbidden):
    code = "guest_thread"
    default_detail = "A guest has one turn and cannot continue a thread."


class InsufficientScope(Forbidden):
    code = "insufficient_scope"
    default_detail = "The access token lacks the scope that this needs."


class NotFound(ChatorchError):
    code = "not_found"
    default_detail = "There is no such thing, or it is not yours."


class Conflict(ChatorchError):
    code = "conflict"
    default_detail = "This does not go with the present state."


class ThreadBusy(Conflict):
    """The thread has a live run; `run_id` names it, so that a client can follow or cancel it."""

    code = "thread_busy"
    default_detail = "The thread has a live run."

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__()


class RunSuperseded(Conflict):
    code = "run_superseded"
    default_detail = "This turn left the history when an earlier one was retried."


class NewerMessages(Conflict):
    """Others follow a message that was to be answered again only if it were the newest."""

    code = "newer_messages"
    default_detail = "Newer messages follow this one, and would leave the history."


class ToolCallsAnswered(Conflict):
    """They were answered otherwise, or something else was said instead."""

    code = "tool_calls_answered"
    default_detail = "These calls were answered otherwise, or something else was said instead."


class UsernameTaken(Conflict):
    code = "username_taken"
    default_detail = "This user name exists, or existed once; names are never used again."


class TooMany(ChatorchError):
    """A cap, a rate or a quota is reached: `limit`, where it is known. `retry_after` is in seconds."""

    code = "too_many"
    default_detail = "Too many at once."

    def __init__(self, detail: str | None = None, *, limit: Limit | None = None, retry_after: float = 1.0) -> None:
        self.limit = limit
        self.retry_after = limit.reset_s if limit is not None else retry_after
        super().__init__(detail)


class TooManyRequests(TooMany):
    code = "too_many_requests"
    default_detail = "Too many requests in a short time."


class TooManyAttempts(TooMany):
    code = "too_many_attempts"
    default_detail = "Too many wrong passwords for this user name, or from this address."


class TooManyRuns(TooMany):
    code = "too_many_runs"
    default_detail = "Too many live runs at once."


class TooManyFollowers(TooMany):
    code = "too_many_followers"
    default_detail = "Too many event streams at once."


class Gone(ChatorchError):
    code = "gone"
    default_detail = "This is over for good."


class NotConfigured(ChatorchError):
    code = "not_configured"
    default_detail = "A setting is missing, without which this is not to be had."


class Unavailable(ChatorchError):
    """Something that this needs is away. `retry_after` is in seconds."""

    code = "unavailable"
    default_detail = "The service cannot do this now."

    def __init__(self, detail: str | None = None, *, retry_after: float = 1.0) -> None:
        self.retry_after = retry_after
        super().__init__(detail)


class StoreUnavailable(Unavailable):
    """`reason` is for operators: it is the text of the error, for a log or a terminal. Clients get the detail."""

    code = "store_unavailable"
    default_detail = "The database does not answer."

    def __init__(self, reason: str | None = None, *, retry_after: float = 1.0) -> None:
        super().__init__(retry_after=retry_after)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason or self.detail


class NotWritable(StoreUnavailable):
    """`kind` is a short stable name, such as ``disk_full`` or ``read_only``."""

    def __init__(self, kind: str, reason: str | None = None) -> None:
        super().__init__(reason)
        self.kind = kind


class RunUnsettled(StoreUnavailable):
    """The model has answered, but the store does not take the end of the run; `run_id` can be followed."""

    default_detail = "The answer is complete but cannot be stored now; it is being tried again."

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__()


class Overloaded(Unavailable):
    code = "overloaded"
    default_detail = "Too much is waiting already."


class Draining(Unavailable):
    code = "draining"
    default_detail = "This process is stopping and starts nothing new."
