"""Which setting stands behind an error: for the operator, who reads its name at the end of the detail.

The domain knows limits, and not where they come from.
"""

from collections.abc import Mapping

from chatorch.domain.model import errors as e
from chatorch.domain.services.guest_admission import GUEST_RUNS, GUEST_RUNS_OF_ADDRESS

OF_ERRORS: Mapping[str, str] = {
    e.ModelNotAllowed.code: "CHATORCH_ALLOWED_MODELS",
    e.TooManyRuns.code: "CHATORCH_MAX_LIVE_RUNS_PER_USER",
    e.TooManyFollowers.code: "CHATORCH_MAX_FOLLOWERS_PER_USER",
    "workflow_not_allowed": "CHATORCH_CHATKIT_WORKFLOWS",
    "too_many_sessions": "CHATORCH_CHATKIT_SESSIONS_PER_USER",
}
"""By its code, of an error that says what it always says. One with words of its own is its own to name it."""

OF_LIMITS: Mapping[str, str] = {
    GUEST_RUNS: "CHATORCH_MAX_LIVE_GUEST_RUNS",
    GUEST_RUNS_OF_ADDRESS: "CHATORCH_MAX_LIVE_GUEST_RUNS_PER_ADDRESS",
}
"""By the name of the `Limit` that is reached."""

MAX_ANSWER_CHARS = "CHATORCH_MAX_ANSWER_CHARS"


def detail_of(error: e.ChatorchError) -> str:
    """The detail as a client gets it."""
    setting = _setting_of(error)
    return error.detail if setting is None else f"{error.detail.removesuffix('.')}; see {setting}."


def _setting_of(error: e.ChatorchError) -> str | None:
    if isinstance(error, e.TooMany) and error.limit is not None:
        return OF_LIMITS.get(error.limit.name)
    return OF_ERRORS.get(error.code) if error.detail == error.default_detail else None
