"""Clients and operators read which setting is behind a refusal; the domain does not know any."""

import json
import re
from pathlib import Path

import pytest

import chatorch
from chatorch.domain.model import errors as e
from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.chatkit_hosted import errors as hosted
from chatorch.domain.model.rates import Limit
from chatorch.entrypoints.common.problems import domain_problem
from chatorch.entrypoints.common.setting_names import MAX_ANSWER_CHARS, OF_ERRORS, OF_LIMITS, detail_of
from chatorch.entrypoints.settings import Settings
from chatorch.entrypoints.ws.frames import error_frame

SOURCE = Path(chatorch.__file__).parent

TOLD = [
    (e.ModelNotAllowed(), "This model is not allowed; see CHATORCH_ALLOWED_MODELS."),
    (hosted.WorkflowNotAllowed(), "This workflow is not allowed; see CHATORCH_CHATKIT_WORKFLOWS."),
    (e.TooManyRuns(), "Too many live runs at once; see CHATORCH_MAX_LIVE_RUNS_PER_USER."),
    (hosted.TooManySessions(retry_after=9), "Too many ChatKit sessions; see CHATORCH_CHATKIT_SESSIONS_PER_USER."),
    (e.TooManyFollowers(), "Too many event streams at once; see CHATORCH_MAX_FOLLOWERS_PER_USER."),
    (
        e.TooManyRuns("Too many guests at once.", limit=Limit("guest-runs", 50, 1)),
        "Too many guests at once; see CHATORCH_MAX_LIVE_GUEST_RUNS.",
    ),
    (
        e.TooManyRuns("Too many guests at once from this address.", limit=Limit("guest-runs-of-address", 5, 1)),
        "Too many guests at once from this address; see CHATORCH_MAX_LIVE_GUEST_RUNS_PER_ADDRESS.",
    ),
    (e.TooManyRequests(limit=Limit("guest-requests", 10, 6, 60)), "Too many requests in a short time."),
    (e.NotFound(), "There is no such thing, or it is not yours."),
]


@pytest.mark.parametrize(("error", "told"), TOLD, ids=[told for _, told in TOLD])
def test_the_setting_ends_the_detail_on_every_door(error: e.ChatorchError, told: str) -> None:
    body = json.loads(domain_problem(error).body)
    assert body["detail"] == told
    assert json.loads(error_frame("f", error))["detail"] == told
    if isinstance(error, e.InvalidRequest):
        assert [item["problem"] for item in body["errors"]] == [told]


def test_a_rule_of_somebody_elses_has_the_last_word() -> None:
    with pytest.raises(e.TooManyRuns) as refused:
        LiveRunCap(1, "Your plan has one run at a time.").require_room(1)
    assert detail_of(refused.value) == "Your plan has one run at a time."
    assert detail_of(e.TooManyRuns(limit=Limit("theirs", 1, 1))) == e.TooManyRuns.default_detail


def test_every_name_is_a_settings() -> None:
    known = {f"CHATORCH_{name.upper()}" for name in Settings.model_fields}
    assert {*OF_ERRORS.values(), *OF_LIMITS.values(), MAX_ANSWER_CHARS} <= known


def test_the_domain_and_the_ports_name_no_setting() -> None:
    names = re.compile(r"\b(?:CHATORCH|OPENAI)_[A-Z]|\b(?:SECRET_KEY|DATABASE_URL|REDIS_URL)\b")
    files = [path for part in ("domain", "ports") for path in (SOURCE / part).rglob("*.py")]
    assert [path.name for path in files if names.search(path.read_text())] == []
    assert len(files) > 50
