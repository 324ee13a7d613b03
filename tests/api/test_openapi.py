"""What the OpenAPI document says is what happens: requests generated from it get documented answers only."""

from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from chatorch.adapters.system import SystemClock
from chatorch.entrypoints.app import create_app
from chatorch.entrypoints.common.envelope import EVENT_TYPES, PART_DELTA
from chatorch.entrypoints.container import Container
from chatorch.entrypoints.settings import Settings
from tests.support.api import SECRET_KEY, Api, Apis, ask
from tests.support.chatkit import SETTINGS, FakeChatKit
from tests.support.sizes import size

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

DOCUMENT: dict[str, Any] = create_app(Container(settings=Settings(secret_key=SECRET_KEY))).openapi()
OPERATIONS = {op.label: op for op in (r.ok() for r in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations())}


@pytest.fixture
async def client(apis: Apis) -> httpx.AsyncClient:
    swapped: dict[str, object] = {"chatkit": FakeChatKit(SystemClock())}
    api = await apis.start(swapped=swapped, allowed_models="*", max_live_runs_per_user=10_000, **SETTINGS)
    return await api.user("alice")


async def send(client: httpx.AsyncClient, case: schemathesis.Case) -> httpx.Response:
    """As schemathesis itself would, through a client of ours."""
    sent = requests.Request(**case.as_transport_kwargs(base_url="http://test")).prepare()
    assert sent.method is not None
    # As any server does: bytes of a header beyond Latin-1 are bytes all the same.
    headers = [(name.encode(), value if isinstance(value, bytes) else value.encode("latin-1", "replace"))
               for name, value in sent.headers.items()]  # fmt: skip
    return await client.request(sent.method, str(sent.url), content=sent.body, headers=headers)


async def put_in_what_is_there(client: httpx.AsyncClient, case: schemathesis.Case) -> None:
    """Names a thread and a run of the caller's, so that the request gets past the look-up."""
    if case.path_parameters:
        there = {"session_id": "cks_x", **await ask(client)}
        there["response_id"] = there["run_id"].replace("run_", "resp_")
        there["conversation_id"] = there["thread_id"].replace("thr_", "conv_")
        there["item_id"] = there["message_id"]
        case.path_parameters = {name: there[name] for name in case.path_parameters}
    if isinstance(case.body, dict):
        case.body = {name: value for name, value in case.body.items() if name not in {"thread_id", "user_id"}}


@pytest.mark.parametrize("label", OPERATIONS)
@settings(
    max_examples=size(4, 300),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
async def test_a_generated_request_gets_a_documented_answer(
    client: httpx.AsyncClient, label: str, data: st.DataObject
) -> None:
    operation = OPERATIONS[label]
    modes = [GenerationMode.POSITIVE]
    if operation.body or operation.query or operation.path_parameters:
        modes.append(GenerationMode.NEGATIVE)
    mode = data.draw(st.sampled_from(modes))
    case = data.draw(operation.as_strategy(generation_mode=mode))
    if mode is GenerationMode.POSITIVE and data.draw(st.booleans()):
        await put_in_what_is_there(client, case)
    answer = await send(client, case)
    case.validate_response(schemathesis.Response.from_httpx(answer, verify=False), checks=CHECKS)
    if mode is GenerationMode.POSITIVE and "/v1/" not in label:  # where 400 is what 422 is elsewhere
        assert answer.status_code != 400, answer.text


async def test_the_document_is_served(api: Api) -> None:
    answer = await api.anonymous().get("/openapi.json")
    assert (answer.status_code, answer.json()) == (200, DOCUMENT)


def test_the_document_tells_of_every_event_and_of_all_members_of_a_part() -> None:
    for path, method in (("/api/runs/{run_id}/events", "get"), ("/api/chat/protected", "post"), ("/api/chat", "post")):
        told = DOCUMENT["paths"][path][method]["responses"]["200"]["description"]
        assert [kind for kind in (*EVENT_TYPES.values(), PART_DELTA) if f"`{kind}`" not in told] == []
    schemas = DOCUMENT["components"]["schemas"]
    assert {"index", "type", "text", "arguments", "status", "url", "title"} <= schemas["PartOut"]["properties"].keys()
    for name in ("ChatResponse", "RunOut", "MessageOut"):
        assert schemas[name]["properties"]["parts"]["items"] == {"$ref": "#/components/schemas/PartOut"}


def test_every_shape_has_a_name_of_its_own() -> None:
    """Two of one name would be told apart by our modules, in whatever is generated from the document."""
    assert [name for name in DOCUMENT["components"]["schemas"] if "__" in name] == []


def test_the_document_names_every_operation_of_the_contract() -> None:
    assert set(OPERATIONS) >= {
        "POST /token", "GET /api/me", "POST /api/chat", "POST /api/chat/protected",
        "GET /api/runs/{run_id}", "GET /api/runs/{run_id}/events", "POST /api/runs/{run_id}/cancel",
        "POST /api/runs/{run_id}/retry", "GET /api/threads", "GET /api/threads/{thread_id}",
        "PATCH /api/threads/{thread_id}", "DELETE /api/threads/{thread_id}", "GET /api/threads/{thread_id}/messages",
        "POST /api/chatkit/session", "POST /api/chatkit/refresh", "DELETE /api/chatkit/session",
        "DELETE /api/chatkit/session/{session_id}", "GET /api/chatkit/threads",
        "GET /api/chatkit/threads/{thread_id}/items", "DELETE /api/chatkit/threads/{thread_id}",
        "GET /health", "GET /health/live", "GET /health/ready", "GET /metrics",
    }  # fmt: skip
