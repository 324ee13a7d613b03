"""What is built by hand is what the schemas promise."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from pydantic import ValidationError

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import (
    Message,
    MessageId,
    MessageStatus,
    Role,
    RunId,
    Thread,
    ThreadId,
    Usage,
    UsageSource,
)
from chatorch.domain.model.identity import Principal, Scope, UserId
from chatorch.domain.model.paging import Page
from chatorch.domain.model.run import Outcome, Run, RunCompleted, RunError, RunStatus
from chatorch.entrypoints.api import schemas
from chatorch.entrypoints.api.views import me_view, message_view, run_view, thread_view, token_view
from chatorch.entrypoints.common.fields import MAX_METADATA_BYTES, PageOut
from chatorch.entrypoints.common.views import chat_view, json_response, page_view, rfc3339

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
USAGE = Usage(7, 5, 12, UsageSource.PROVIDER)
THREAD = Thread(ThreadId("thr_1"), UserId("usr_1"), "Title", {"a": [1]}, NOW, NOW)
MESSAGE = Message(MessageId("msg_1"), ThreadId("thr_1"), 0, Role.USER, "hi", MessageStatus.COMPLETE, NOW)
LIVE = Run(
    RunId("run_1"), ThreadId("thr_1"), UserId("usr_1"), MessageId("msg_1"), MessageId("msg_2"),
    RunStatus.STREAMING, "a-model", NOW, content=Content.of("so far"),
)  # fmt: skip
FAILED = Run(
    RunId("run_1"), ThreadId("thr_1"), UserId("usr_1"), MessageId("msg_1"), MessageId("msg_2"),
    RunStatus.FAILED, "a-model", NOW, finished_at=NOW,
    outcome=Outcome(RunStatus.FAILED, error=RunError("upstream_timeout", "late", retryable=True)),
)  # fmt: skip


ANSWER = Content.of("answer")
COMPLETED = RunCompleted(9, MessageId("msg_2"), "stop", USAGE)


@pytest.mark.parametrize(
    ("view", "schema"),
    [
        (
            chat_view(LIVE, ANSWER, COMPLETED, NOW),
            schemas.ChatResponse,
        ),
        (run_view(LIVE), schemas.RunOut),
        (run_view(FAILED), schemas.RunOut),
        (thread_view(THREAD), schemas.ThreadOut),
        (message_view(MESSAGE), schemas.MessageOut),
        (page_view(Page((THREAD,), "cursor"), thread_view), PageOut[schemas.ThreadOut]),
        (token_view("t", 1800, frozenset({Scope.CHAT})), schemas.TokenResponse),
        (me_view(Principal(UserId("usr_1"), "ada", frozenset(Scope))), schemas.MeOut),
    ],
)
def test_every_view_is_what_its_schema_describes(view, schema):
    on_the_wire = json_response(view).body
    assert schema.model_validate_json(on_the_wire).model_dump(mode="json") == msgspec.json.decode(on_the_wire)


def test_times_are_utc_with_microseconds_wherever_they_came_from():
    assert rfc3339(NOW) == "2026-01-31T09:30:00.000000Z"
    assert rfc3339(NOW.astimezone(timezone(timedelta(hours=2)))) == "2026-01-31T09:30:00.000000Z"


def test_the_error_of_a_run_shows_code_and_detail_only():
    assert run_view(FAILED)["error"] == {"code": "upstream_timeout", "detail": "late"}


def test_a_page_says_whether_there_is_more():
    assert page_view(Page((THREAD,)), thread_view) | {"data": None} == {"data": None, "has_more": False, "after": None}
    assert page_view(Page((THREAD,), "c"), thread_view)["has_more"]


def test_scopes_are_separated_by_spaces():
    assert token_view("t", 1, frozenset({Scope.CHAT, Scope.ADMIN}))["scope"] == "admin chat"


@pytest.mark.parametrize("title", ["", "   ", "x" * 201])
def test_a_title_has_something_in_it_and_an_end(title):
    with pytest.raises(ValidationError):
        schemas.ThreadPatch(title=title)


def test_metadata_is_measured_as_json():
    schemas.ThreadPatch(metadata={"a": "x" * (MAX_METADATA_BYTES - 8)})
    with pytest.raises(ValidationError, match="at most 16384 bytes"):
        schemas.ThreadPatch(metadata={"a": "x" * (MAX_METADATA_BYTES - 7)})


def test_a_message_goes_into_the_domain_as_it_came():
    message = schemas.ChatMessageIn(role="user", content=" hi ", timestamp="whenever", metadata={"a": 1}).to_domain()
    assert (message.role, message.content, message.timestamp, message.metadata) == (
        Role.USER, " hi ", "whenever", {"a": 1},
    )  # fmt: skip
