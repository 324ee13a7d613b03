"""Hosted ChatKit over real sockets, with a provider whose answers are cut, late, lost or nonsense."""

import asyncio
import random
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.support.api import Api, Apis, problem_of
from tests.support.canaries import Canaries
from tests.support.chatkit import SETTINGS
from tests.support.chatkit_upstream import ChatKitUpstream, Plan, chatkit_upstream, random_cut
from tests.support.eventually import eventually
from tests.support.fakes import FakeClock
from tests.support.logged import logged
from tests.support.sizes import size

SESSION, REFRESH = "/api/chatkit/session", "/api/chatkit/refresh"


@pytest.fixture
async def upstream() -> AsyncIterator[ChatKitUpstream]:
    async with chatkit_upstream() as upstream:
        yield upstream


async def start(apis: Apis, upstream: ChatKitUpstream, **more: object) -> Api:
    settings = {**SETTINGS, "openai_base_url": upstream.base_url, "chatkit_timeout_s": 5, **more}
    return await apis.start(**settings)


def ledger(api: Api) -> list[tuple[str, str | None]]:
    """Status and the provider's id of every row."""
    path = api.container.settings().database_url.removeprefix("sqlite:///")
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT status, upstream_id FROM chatkit_sessions ORDER BY id").fetchall()
    connection.close()
    return rows


def contents(folder: Path) -> list[str]:
    return [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]


@pytest.mark.soak
async def test_when_the_answer_is_lost_the_orphan_is_cancelled_or_expires_and_the_ledger_is_right(
    apis: Apis, upstream: ChatKitUpstream
) -> None:
    clock = FakeClock()
    clock.wall_offset = timedelta(seconds=time.time() - clock.now().timestamp())
    more = {"access_token_life_s": 100_000, "chatkit_sessions_per_user": 1000}
    api = await start(apis, upstream, swapped={"clock": clock}, **more)
    alice = await api.user("alice")
    chance = random.Random(4711)
    cuts, answered = size(10, 100), Counter()
    for i in range(cuts):
        upstream.plans.append(random_cut(chance))
        if i % 3:
            answered[(await alice.post(SESSION)).status_code] += 1
            continue
        old = await alice.post(SESSION)  # this one is cut too, or comes
        answered[old.status_code] += 1
        if old.status_code == 200:
            upstream.plans.append(random_cut(chance))
            again = await alice.post(REFRESH, json={"client_secret": old.json()["client_secret"]})
            answered[again.status_code] += 1

    assert set(answered) <= {200, 502, 503, 504}
    assert len([line for line in upstream.requests if line.endswith("/sessions")]) == answered.total()
    lost = answered.total() - answered[200]
    assert lost >= cuts * 0.7
    assert Counter(status for status, _ in ledger(api))["lost"] == lost
    known = {upstream_id for _, upstream_id in ledger(api) if upstream_id}
    assert len(upstream.sessions) - len(known) == lost

    assert (await alice.delete(SESSION)).status_code == 204

    assert upstream.live() == upstream.sessions.keys() - known, "what is known was cancelled, the others expire"
    clock.wall_offset += timedelta(seconds=661)
    while any(status == "lost" for status, _ in ledger(api)):
        await api.container.chatkit_sessions().sweep()
    assert Counter(status for status, _ in ledger(api)) == Counter(expired=lost, cancelled=answered[200])
    clock.wall_offset += timedelta(days=2)
    while ledger(api):
        await api.container.chatkit_sessions().sweep()


@pytest.mark.parametrize("after", [0, 5, 200])
async def test_a_provider_that_hangs_is_waited_for_no_longer_than_the_deadline(
    apis: Apis, upstream: ChatKitUpstream, after: int
) -> None:
    api = await start(apis, upstream, chatkit_timeout_s=0.3)
    alice = await api.user("alice")
    upstream.plans.append(Plan(after, "hang"))
    began = time.monotonic()
    problem_of(await alice.post(SESSION), 504, "upstream_timeout")
    assert 0.3 <= time.monotonic() - began < 0.3 + size(100, 25) / 100
    assert ledger(api) == [("lost", None)]


NONSENSE = ["<html>", "{}", "[]", "null", '{"id": "cksess_1", "client_secret": "ek_x"}']


@pytest.mark.parametrize("body", NONSENSE)
async def test_a_200_with_nonsense_is_a_problem(apis: Apis, upstream: ChatKitUpstream, body: str) -> None:
    api = await start(apis, upstream)
    alice = await api.user("alice")
    upstream.plans.append(Plan(body=body))
    problem_of(await alice.post(SESSION), 502, "upstream_invalid")
    assert ledger(api) == [("lost", None)]


REFUSALS = [
    (404, None, 502, "chatkit_workflow_not_found", "CHATORCH_CHATKIT_WORKFLOWS"),
    (401, "invalid_api_key", 502, "upstream_auth", "OPENAI_API_KEY"),
    (401, "mismatched_organization", 502, "chatkit_wrong_organization", "OPENAI_ORG_ID"),
    (403, "domain_not_allowed", 502, "chatkit_domain_not_allowed", "Domain allowlist"),
    (403, None, 502, "upstream_auth", "OPENAI_API_KEY"),
    (429, None, 503, "upstream_rate_limited", "rate"),
]


@pytest.mark.parametrize(("upstream_status", "upstream_code", "status", "code", "hint"), REFUSALS)
async def test_a_refusal_names_the_setting_to_look_at_and_nothing_of_the_body(
    apis: Apis, upstream: ChatKitUpstream, upstream_status: int, upstream_code: str, status: int, code: str, hint: str
) -> None:
    api = await start(apis, upstream)
    alice = await api.user("alice")
    body = '{"error": {"message": "canary sk-test-of-chatkit", "code": %s}}'
    said = body % (f'"{upstream_code}"' if upstream_code else "null")
    upstream.plans.append(Plan(status=upstream_status, body=said, creates=False))
    answer = await alice.post(SESSION)
    assert hint in problem_of(answer, status, code)["detail"]
    assert "canary" not in answer.text
    assert ledger(api) == [("refused", None)]


async def test_a_session_is_given_and_exchanged_and_cancelled(apis: Apis, upstream: ChatKitUpstream) -> None:
    api = await start(apis, upstream)
    alice = await api.user("alice")
    me = (await alice.get("/api/me")).json()["user_id"]
    old = (await alice.post(SESSION)).json()
    new = (await alice.post(REFRESH, json={"client_secret": old["client_secret"]})).json()
    assert (old["client_secret"], new["client_secret"]) == ("ek_secret1", "ek_secret2")
    assert {session["user"] for session in upstream.sessions.values()} == {me}

    async def only_the_new_one() -> bool:
        return upstream.live() == {"cksess_2"}

    await eventually(only_the_new_one)
    assert (await alice.delete(f"{SESSION}/{new['session_id']}")).status_code == 204
    assert upstream.live() == set()
    assert upstream.cancels == ["cksess_1", "cksess_2"]


async def test_a_hosted_thread_id_never_becomes_another_address(apis: Apis, upstream: ChatKitUpstream) -> None:
    api = await start(apis, upstream)
    alice = await api.user("alice")
    for bad in ("%2e%2e%2fsessions", "a%2fb", "a%3fb", "%00", "%0d%0aX:%20y", "x" * 129, "é", "a%20b", "%ff"):
        for answer in (
            await alice.get(f"/api/chatkit/threads/{bad}/items"),
            await alice.delete(f"/api/chatkit/threads/{bad}"),
        ):
            problem_of(answer, 404, "not_found")
    assert upstream.requests == []


async def test_the_secret_is_in_no_log_metric_problem_or_file(
    apis: Apis, upstream: ChatKitUpstream, tmp_path: Path
) -> None:
    canaries = Canaries()
    upstream.secret = f"ek_{canaries['client secret']}"
    told: list[httpx.Response] = []
    with logged(level="debug") as log:
        api = await start(apis, upstream, chatkit_timeout_s=0.3, debug=True)
        alice, bob = await api.user("alice"), await api.user("bob")
        old = (await alice.post(SESSION)).json()
        new = (await alice.post(REFRESH, json={"client_secret": old["client_secret"]})).json()
        assert canaries.found_in(new["client_secret"])
        secret = new["client_secret"]
        for client, body in [
            (bob, {"client_secret": secret}),
            (alice, {"client_secret": secret, "x": secret}),
            (alice, {secret: secret}),
            (alice, {"client_secret": [secret]}),
            (alice, {"client_secret": secret * 200}),
        ]:
            told.append(await client.post(REFRESH, json=body))
        told.append(await alice.delete(f"{SESSION}/{secret}"))
        told.append(await alice.get(f"/api/chatkit/threads/{secret}/items"))
        for plan in (Plan(200), Plan(450, "reset"), Plan(450, "hang"), Plan(body=f'{{"client_secret": "{secret}"}}'),
                     Plan(status=401, body=f'{{"error": {{"message": "{secret}", "code": "{secret}"}}}}')):  # fmt: skip
            upstream.plans.append(plan)
            told.append(await alice.post(REFRESH, json={"client_secret": secret}))
        assert (await alice.delete(SESSION)).status_code == 204
        told.append(await alice.post(REFRESH, json={"client_secret": secret}))
        shown = [await alice.get("/metrics", headers={"Accept": kind}) for kind in ("*/*", "application/json")]
    assert [answer.status_code for answer in told] == [404, 422, 422, 422, 422, 404, 404, 503, 503, 504, 502, 502, 410]
    for answer in (*told, *shown):
        assert canaries.found_in(answer.text) == []
    lost = [line for line in log.named("chatkit_session") if line["level"] == "warning"]
    assert [(line["code"], line.get("upstream_status"), line.get("cause")) for line in lost] == [
        *[("upstream_unavailable", None, "the answer broke off before its end: the connection was closed or reset")]
        * 2,
        ("upstream_timeout", None, "no answer within 0.3 s (CHATORCH_CHATKIT_TIMEOUT_S)"),
        ("upstream_invalid", None, None),
        ("upstream_auth", 401, None),
    ]
    assert all(line["detail"] for line in lost)
    assert canaries.found_in(log.text) == []
    files = contents(tmp_path)
    assert any("cksess_2" in content for content in files)
    assert [canaries.found_in(content) for content in files] == [[]] * len(files)


async def test_every_answer_is_given_while_the_provider_is_gone(apis: Apis, upstream: ChatKitUpstream) -> None:
    api = await start(apis, upstream)
    alice = await api.user("alice")
    session = (await alice.post(SESSION)).json()
    api_gone = await apis.start(**{**SETTINGS, "openai_base_url": "http://127.0.0.1:1/v1"})
    bob = await api_gone.user("bob")
    problem_of(await bob.post(SESSION), 503, "upstream_unavailable")
    problem_of(await bob.get("/api/chatkit/threads"), 503, "upstream_unavailable")
    answers = await asyncio.gather(*(alice.delete(f"{SESSION}/{session['session_id']}") for _ in range(3)))
    assert [answer.status_code for answer in answers] == [204, 204, 204]
