"""Every error is a problem, wherever it is raised."""

import json

import pytest
from prometheus_client import CollectorRegistry

from chatorch.domain.model.conversation import MessageId, Usage, UsageSource
from chatorch.domain.model.run import CancelReason, RunCancelled, RunCompleted, RunFailed, RunInterrupted
from chatorch.entrypoints.common.error_responses import run_problem
from chatorch.entrypoints.metrics.metrics import Metrics
from tests.support.logged import logged
from tests.support.plumbed_app import client_of, plumbed_app

ORIGIN = "https://chat.example.com"
JSON = {"Content-Type": "application/json"}
MEMBERS = {"type", "title", "status", "detail", "code", "request_id", "message"}


@pytest.mark.parametrize(
    ("name", "status", "code", "headers", "members"),
    [
        ("thread-busy", 409, "thread_busy", {}, {"run_id": "run_1"}),
        ("not-authenticated", 401, "not_authenticated", {"WWW-Authenticate": "Bearer"}, {}),
        ("invalid-token", 401, "invalid_token", {"WWW-Authenticate": 'Bearer error="invalid_token"'}, {}),
        ("invalid-grant", 401, "invalid_grant", {"WWW-Authenticate": "Bearer"}, {"error": "invalid_grant"}),
        ("scope", 403, "insufficient_scope", {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}, {}),
        ("mismatch", 403, "user_mismatch", {}, {}),
        ("not-found", 404, "not_found", {}, {}),
        ("taken", 409, "username_taken", {}, {}),
        ("too-many", 429, "too_many_runs", {"Retry-After": "1"}, {}),
        ("store", 503, "store_unavailable", {"Retry-After": "3"}, {}),
        ("draining", 503, "draining", {"Retry-After": "1"}, {}),
        ("upstream", 502, "upstream_error", {}, {}),
        ("upstream-limit", 503, "upstream_rate_limited", {"Retry-After": "7"}, {}),
        ("upstream-away", 503, "upstream_unavailable", {}, {}),
        ("upstream-late", 504, "upstream_timeout", {}, {}),
        ("field", 422, "invalid_request", {}, {"errors": [{"field": "messages.0.content", "problem": "is too long"}]}),
    ],
)
async def test_a_domain_error_becomes_its_problem(name, status, code, headers, members):
    async with client_of(plumbed_app()) as client:
        answer = await client.get(f"/api/raise/{name}")
    body = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert body["type"] == f"urn:chatorch:problem:{code}"
    assert body["message"] == body["title"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert {key: answer.headers[key] for key in headers} == headers
    assert {key: body[key] for key in body.keys() - MEMBERS} == members


async def test_every_422_of_the_domain_names_a_field():
    async with client_of(plumbed_app()) as client:
        body = (await client.get("/api/raise/model")).json()
    assert (body["code"], [error["field"] for error in body["errors"]]) == ("model_not_allowed", ["model"])


@pytest.mark.parametrize("path", ["/api/raise/bug", "/middleware-fails", "/api/raise/root"])
async def test_an_unexpected_error_tells_nothing_and_is_logged_by_type(path):
    with logged() as out:
        async with client_of(plumbed_app(origins=(ORIGIN,))) as client:
            answer = await client.get(path, headers={"Origin": ORIGIN, "X-Request-ID": "mine-1"})
    assert answer.status_code == 500
    assert answer.json()["detail"] == "An error occurred"
    assert answer.json()["message"] == "Internal server error"
    assert answer.headers["X-Request-ID"] == "mine-1" == answer.json()["request_id"]
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    (line,) = out.named("request_failed")
    assert line["request_id"] == "mine-1"
    assert line["error"][0]["frames"]
    assert "secret" not in out.text + answer.text


async def test_debug_shows_the_error_itself():
    with logged():
        async with client_of(plumbed_app(debug=True)) as client:
            answer = await client.get("/api/raise/bug")
    assert answer.json()["detail"] == "the secret is 42"


async def test_an_address_without_a_route_is_a_problem():
    async with client_of(plumbed_app()) as client:
        answer = await client.get("/canary")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "canary" not in answer.text


async def test_a_wrong_method_says_which_are_right():
    async with client_of(plumbed_app()) as client:
        answer = await client.put("/api/chat")
    assert (answer.status_code, answer.json()["code"], answer.headers["Allow"]) == (405, "method_not_allowed", "POST")


async def test_an_answer_names_at_most_twenty_faults():
    body = {"messages": [{"role": "user"}] * 200}
    async with client_of(plumbed_app()) as client:
        answer = await client.post("/api/chat", json=body)
    assert len(answer.json()["errors"]) == 20
    assert "and 197 more" in answer.json()["detail"]


async def test_an_unknown_field_is_not_repeated_but_the_right_one_is_offered():
    body = {"mesages": [], "messages": [{"role": "user", "content": "x"}], "canary": 1}
    async with client_of(plumbed_app()) as client:
        answer = await client.post("/api/chat", json=body)
    assert answer.json()["errors"] == [
        {"field": "*", "problem": "is no field of this request; did you mean messages?"},
        {"field": "*", "problem": "is no field of this request"},
    ]
    assert "canary" not in answer.text


@pytest.mark.parametrize(
    ("terminal", "status", "code", "retry_after"),
    [
        (RunFailed(9, "upstream_error", "d", True), 502, "upstream_error", None),
        (RunFailed(9, "upstream_auth", "d", False), 502, "upstream_auth", None),
        (RunFailed(9, "upstream_invalid", "d", True), 502, "upstream_invalid", None),
        (RunFailed(9, "upstream_rate_limited", "d", True, 12.5), 503, "upstream_rate_limited", "13"),
        (RunFailed(9, "upstream_unavailable", "d", True), 503, "upstream_unavailable", "1"),
        (RunFailed(9, "upstream_timeout", "d", True), 504, "upstream_timeout", None),
        (RunFailed(9, "internal_error", "d", False), 500, "internal_error", None),
        (RunFailed(9, "never_heard_of", "d", False), 500, "never_heard_of", None),
        (RunCancelled(9, CancelReason.USER), 409, "run_cancelled", None),
        (RunInterrupted(9), 503, "run_interrupted", "1"),
    ],
)
def test_a_run_that_ended_badly_is_a_problem_with_its_id(terminal, status, code, retry_after):
    answer = run_problem("run_1", terminal)
    body = json.loads(answer.body)
    assert (answer.status_code, body["code"], body["run_id"]) == (status, code, "run_1")
    assert answer.headers.get("Retry-After") == retry_after


@pytest.mark.parametrize("code", ["internal_error", "never_heard_of"])
def test_a_run_that_failed_through_a_bug_of_ours_tells_nothing(code):
    body = json.loads(run_problem("run_1", RunFailed(9, code, "Something went wrong.", False)).body)
    assert (body["status"], body["detail"]) == (500, "An error occurred")


def test_a_run_that_completed_is_no_problem():
    completed = RunCompleted(9, MessageId("msg_1"), "stop", Usage(1, 1, 2, UsageSource.PROVIDER))
    with pytest.raises(ValueError, match="completed"):
        run_problem("run_1", completed)


async def test_an_error_after_the_first_byte_breaks_the_response_off_and_is_logged_once():
    metrics = Metrics(CollectorRegistry())
    with logged() as out:
        async with client_of(plumbed_app(metrics)) as client:
            answer = await client.get("/api/broken-stream")
    assert "internal_error" not in answer.text
    assert len(out.named("request_failed")) == 1


def test_the_document_describes_errors_as_problems():
    document = plumbed_app().openapi()
    responses = document["paths"]["/api/chat"]["post"]["responses"]
    assert responses.keys() >= {"200", "404", "413", "415", "422", "500"}
    for status in responses.keys() - {"200"}:
        assert list(responses[status]["content"]) == ["application/problem+json"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert "Problem" in document["components"]["schemas"]
