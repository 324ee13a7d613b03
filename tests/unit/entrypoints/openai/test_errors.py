"""What OpenAI's clients are told of a failure."""

import json

import pytest

from chatorch.domain.model import errors as e
from chatorch.domain.model import upstream_errors as u
from chatorch.entrypoints.common.failures import Failure, domain_failure, http_failure, invalid_fields
from chatorch.entrypoints.common.problems import domain_problem
from chatorch.entrypoints.openai.errors import OPENAI_ERRORS, OpenAIErrorForm


def told(failure: Failure) -> tuple[int, dict[str, str | None]]:
    error = json.loads(OPENAI_ERRORS.body(failure))
    assert error.keys() == {"error"}
    assert error["error"].keys() == {"message", "type", "param", "code"}
    return OPENAI_ERRORS.status(failure), error["error"]


@pytest.mark.parametrize(
    ("failure", "status", "kind", "code"),
    [
        (domain_failure(e.InvalidField("n", "must be 1")), 400, "invalid_request_error", "invalid_request"),
        (domain_failure(e.NotAuthenticated()), 401, "authentication_error", "not_authenticated"),
        (domain_failure(e.InsufficientScope()), 403, "permission_error", "insufficient_scope"),
        (domain_failure(e.NotFound()), 404, "invalid_request_error", "not_found"),
        (domain_failure(e.ModelNotAllowed()), 404, "invalid_request_error", "model_not_found"),
        (http_failure(405), 405, "invalid_request_error", "method_not_allowed"),
        (http_failure(413), 413, "invalid_request_error", "content_too_large"),
        (domain_failure(e.ThreadBusy("run_1")), 409, "invalid_request_error", "thread_busy"),
        (domain_failure(e.TooManyRuns()), 429, "rate_limit_error", "too_many_runs"),
        (domain_failure(u.UpstreamInvalid()), 502, "server_error", "upstream_invalid"),
        (domain_failure(u.UpstreamRateLimited()), 503, "server_error", "upstream_rate_limited"),
        (domain_failure(e.ChatorchError("a secret")), 500, "server_error", "internal_error"),
    ],
)
def test_statuses_types_and_codes(failure: Failure, status: int, kind: str, code: str):
    got, error = told(failure)
    assert (got, error["type"], error["code"]) == (status, kind, code)
    assert error["message"] == failure.detail
    assert "secret" not in error["message"]


@pytest.mark.parametrize(
    ("failure", "param"),
    [
        (invalid_fields([{"field": "n", "problem": "must be 1"}, {"field": "top_k", "problem": "x"}]), "n"),
        (domain_failure(e.InvalidField("messages.0.content", "must not be blank")), "messages[0].content"),
        (invalid_fields([{"field": "messages.10.content.2.type", "problem": "x"}]), "messages[10].content[2].type"),
        (invalid_fields([{"field": "input.3", "problem": "x"}]), "input[3]"),
        (domain_failure(e.ModelNotAllowed()), "model"),
        (domain_failure(e.IdempotencyKeyReused()), "Idempotency-Key"),
        (invalid_fields([{"field": "body", "problem": "is not valid JSON"}]), None),
        (domain_failure(e.NotFound()), None),
    ],
)
def test_the_field_that_is_wrong_is_named_as_openai_writes_it(failure: Failure, param: str | None):
    assert told(failure)[1]["param"] == param


def test_the_message_names_fields_as_the_parameter_does():
    wrong = [("messages.0.content.12.type", "must be at most 1.5: no more"), ("n", "x"), ("messages.3", "y.0: z")]
    failure = invalid_fields([{"field": field, "problem": problem} for field, problem in wrong])
    assert told(failure)[1]["message"] == (
        "messages[0].content[12].type: must be at most 1.5: no more; n: x; messages[3]: y.0: z"
    )


@pytest.mark.parametrize(
    "error",
    [
        *(e.ThreadBusy("run_1"), e.RunSuperseded(), e.NotConfigured()),
        *(
            u.UpstreamAuthFailed(),
            u.UpstreamRejected(),
            u.UpstreamUnusable(),
            u.UpstreamRateLimited(),
            u.UpstreamTimeout(),
        ),
    ],
)
def test_what_a_client_would_repeat_in_vain_says_so(error: e.ChatorchError):
    assert OPENAI_ERRORS.headers(domain_failure(error))["x-should-retry"] == "false"


@pytest.mark.parametrize("error", [e.TooManyRuns(), e.Draining(), e.StoreUnavailable(), e.NotFound(), e.InvalidToken()])
def test_all_else_is_left_to_the_status(error: e.ChatorchError):
    failure = domain_failure(error)
    assert OPENAI_ERRORS.headers(failure) == failure.headers


def test_the_run_that_is_concerned_is_in_a_header_for_the_form_has_no_place_for_it():
    assert OPENAI_ERRORS.headers(domain_failure(e.ThreadBusy("run_1")))["x-chatorch-run"] == "run_1"


async def test_a_refusal_takes_status_and_headers_with_the_form_on_its_way_out():
    sent = []

    async def send(message):
        sent.append(message)

    refusal = domain_problem(e.ThreadBusy("run_1"))
    await refusal({"type": "http", "chatorch.form_of": lambda _: OpenAIErrorForm()}, None, send)
    await domain_problem(e.RoleNotAllowed())(
        {"type": "http", "chatorch.form_of": lambda _: OpenAIErrorForm()}, None, send
    )
    begun, body, second, _ = sent
    headers = dict(begun["headers"])
    assert (begun["status"], second["status"]) == (409, 400)
    assert headers[b"x-should-retry"] == b"false"
    assert headers[b"content-type"] == b"application/json"
    assert int(headers[b"content-length"]) == len(body["body"])
