"""Input that no store could keep, sent to the same application on SQLite and on PostgreSQL: refused, by both alike."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.api import Api, Apis, ask
from tests.support.postgres import Databases
from tests.support.sizes import size

CANARY = "canary4711"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MIB = 1024 * 1024
MANY = 1_000_000

REFUSED: list[bytes] = [
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-1e999",
    b"9" * 5000,
    b'"\\ud800 canary4711"',
    b'"canary4711 \\udfff\\ud800"',
    b'"canary4711\\u0000"',
    b'{"canary4711\\u0000": 1}',
    b'{"a": ["\\u0000"]}',
    b'"\xff\xfe canary4711"',
    b'"\xed\xa0\x80 canary4711"',
    b'"\x00"',
    b'"\x1b[31m"',
    b'"canary4711',
    b'{"canary4711"',
    b'{"a": 1,}',
    b"canary4711",
    b"[" * 1000 + b"]" * 1000,
    b'{"a":' * 1000 + b"1" + b"}" * 1000,
    b"[" * 100_000 + b"]" * 100_000,
    b'"' + b"x" * MIB + b'"',
]
"""As a value anywhere in a body of JSON."""


@dataclass(frozen=True)
class Hostile:
    """One request: where it goes, with ``{thread}`` and ``{run}`` for things that are there, and its body."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, bytes], ...] = ()
    chunked: bool = False


@dataclass(frozen=True)
class Door:
    """The application on one store, Alice signed in, and a thread and a run of hers."""

    client: httpx.AsyncClient
    thread: str
    run: str

    async def send(self, case: Hostile) -> httpx.Response:
        headers = [("Content-Type", case.content_type.encode()), *case.headers]
        path = case.path.replace("{thread}", self.thread).replace("{run}", self.run)
        content = _in_pieces(case.body) if case.chunked else case.body
        return await self.client.request(case.method, path, content=content, headers=headers)


async def _in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]


async def door_of(api: Api) -> Door:
    alice = await api.user("alice")
    there = await ask(alice)
    return Door(alice, there["thread_id"], there["run_id"])


@pytest.fixture
async def doors(apis: Apis, postgres: Databases) -> list[Door]:
    unbounded = {
        "max_live_runs_per_user": 10_000,
        "wrong_passwords_per_user": MANY,
        "wrong_passwords_per_address": MANY,
    }
    on_postgres = await apis.start(database_url=await postgres.fresh(), **unbounded)
    return [await door_of(await apis.start(**unbounded)), await door_of(on_postgres)]


async def told(door: Door, case: Hostile) -> tuple[int, Any]:
    """What of an answer must not depend on the store: all of it, but for ids and times."""
    answer = await door.send(case)
    assert answer.status_code < 500, (case, answer.text)
    assert answer.headers["X-Request-ID"]
    if answer.status_code >= 400:
        body = answer.json()
        assert CANARY not in answer.text, case
        return answer.status_code, {**body, "request_id": None}
    if answer.status_code == 200 and case.method == "PATCH":
        return 200, [answer.json()[name] for name in ("title", "metadata")]
    if answer.status_code == 200 and case.path.startswith("/api/chat") and answer.headers["Content-Type"] == JSON:
        listed = await door.client.get(f"/api/threads/{answer.json()['thread_id']}/messages?order=desc&limit=100")
        return 200, [[m[name] for name in ("role", "content", "metadata", "status")] for m in listed.json()["data"]]
    return answer.status_code, None


async def same_everywhere(doors: list[Door], case: Hostile) -> int:
    first, second = [await told(door, case) for door in doors]
    assert first == second, case
    return first[0]


def places(value: bytes) -> Iterator[Hostile]:
    """The value at every place of every body."""

    def chat(message: bytes = b"", request: bytes = b"", content: bytes = b'"Hi"') -> bytes:
        return b'{"messages":[{"role":"user","content":%b%b}]%b}' % (content, message, request)

    bodies = [
        chat(content=value),
        chat(message=b',"metadata":{"a":%b}' % value),
        chat(message=b',"metadata":%b' % value),
        chat(message=b',"timestamp":%b' % value),
        *(chat(request=b',"%b":%b' % (name, value)) for name in (b"thread_id", b"model", b"user_id", b"stream", b"x")),
        value,
    ]
    for body in bodies:
        yield Hostile("POST", "/api/chat/protected", body)
        yield Hostile("POST", "/api/chat", body)
    for name in (b"title", b"metadata"):
        yield Hostile("PATCH", "/api/threads/{thread}", b'{"%b":%b}' % (name, value))
    for name in (b"model", b"stream"):
        yield Hostile("POST", "/api/runs/{run}/retry", b'{"%b":%b}' % (name, value))


async def test_what_cannot_be_kept_is_refused_wherever_it_stands(doors: list[Door]) -> None:
    for value in REFUSED:
        for case in places(value):
            assert await same_everywhere(doors, case) == (413 if len(case.body) > MIB else 422), case


async def test_a_body_over_the_cap_is_refused_however_it_is_sent(doors: list[Door]) -> None:
    body = CANARY.encode() + b"x" * MIB
    for chunked in (False, True):
        for method, path, content_type in [
            ("POST", "/api/chat/protected", JSON),
            ("POST", "/api/chat", JSON),
            ("POST", "/token", FORM),
            ("PATCH", "/api/threads/{thread}", JSON),
            ("POST", "/api/runs/{run}/retry", JSON),
        ]:
            assert await same_everywhere(doors, Hostile(method, path, body, content_type, chunked=chunked)) == 413


ELSEWHERE = [
    Hostile("GET", "/api/threads/%00"),
    Hostile("GET", "/api/runs/run_%00/events"),
    Hostile("GET", "/api/threads/%ff%fe"),
    Hostile("GET", "/api/threads/%ed%a0%80"),
    Hostile("GET", f"/api/threads/{'x' * 8000}"),
    Hostile("GET", "/api/threads?after=%00"),
    Hostile("GET", "/api/threads?after=%ed%a0%80"),
    Hostile("GET", "/api/threads?after=WyJ0IiwiMDAwMS0wMS0wMVQwMDowMDowMCswMDowMCIsIlx1ZDgwMCJd"),
    Hostile("GET", "/api/threads?after=WyJ0IiwiMDAwMS0wMS0wMVQwMDowMDowMCsyMzowMCIsIngiXQ"),
    Hostile("GET", "/api/threads?after=WyJ0IiwiOTk5OS0xMi0zMVQyMzo1OTo1OS0yMzowMCIsIngiXQ"),
    Hostile("GET", f"/api/threads?limit={'9' * 5000}"),
    Hostile("GET", "/api/threads/{thread}/messages?after=WyJtIiwgMWU5OTld"),
    Hostile("GET", "/api/runs/{run}/events", headers=(("Last-Event-ID", b"\xff"),)),
    Hostile("GET", f"/api/runs/{{run}}/events?after={'9' * 19}"),
    Hostile("GET", "/api/runs/{run}/events?after=%F0%9D%9F%8F"),
    Hostile("POST", "/token", b"grant_type=password&username=%00&password=canary4711", FORM),
    Hostile("POST", "/token", b"grant_type=password&username=canary4711&password=%00", FORM),
    Hostile("POST", "/token", b"\xff\x00\xfe=%zz", FORM),
    Hostile("POST", "/token", b"grant_type=canary4711&username=x&password=x", FORM),
]


async def test_addresses_headers_and_forms_are_refused_as_bodies_are(doors: list[Door]) -> None:
    for case in ELSEWHERE:
        assert await same_everywhere(doors, case) in {404, 422}, case


# -- generated -------------------------------------------------------------------------------------------------------

text = st.text(st.characters(codec="utf-8"), max_size=30).map(lambda said: CANARY + said)
any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=8,
)
good = st.builds(lambda value, ascii_only: json.dumps(value, ensure_ascii=ascii_only).encode(), any_json, st.booleans())
surrogates = st.text(st.characters(), max_size=10).map(lambda said: json.dumps(CANARY + said).encode())
values = st.one_of(good, surrogates, st.sampled_from(REFUSED[:-2]), st.binary(max_size=40))

bodies = values.flatmap(lambda value: st.sampled_from(list(places(value))))
words = st.one_of(st.text(st.characters(codec="utf-8"), max_size=40), st.binary(max_size=40)).map(
    lambda w: quote(w, safe="")
)
addresses = st.builds(
    lambda template, word: Hostile("GET", template.format(word)),
    st.sampled_from([
        "/api/threads/{}", "/api/threads/{}/messages", "/api/runs/{}", "/api/runs/{}/events", "/api/threads?after={}",
        "/api/threads?limit={}", "/api/threads?order={}", "/health?x={}", "/{}",
    ]),
    words.filter(lambda word: word not in {".", ".."}),
)  # fmt: skip
headers = st.builds(
    lambda name, value: Hostile(
        "POST", "/api/chat/protected", b'{"messages":[{"role":"user","content":"Hi"}]}', headers=((name, value),)
    ),
    st.sampled_from(["Idempotency-Key", "Last-Event-ID", "X-Request-ID", "Accept", "Accept-Language", "Cookie"]),
    st.binary(max_size=30).map(lambda value: value.translate(None, b"\r\n\0")),
)
forms = st.builds(
    lambda name, password: Hostile(
        "POST", "/token", f"grant_type=password&username={name}&password={password}".encode(), FORM
    ),
    words,
    words,
)


@settings(
    max_examples=size(60, 2000),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(case=st.one_of(bodies, bodies, bodies, addresses, headers, forms))
async def test_nothing_at_all_is_a_server_error_or_differs_between_the_stores(doors: list[Door], case: Hostile) -> None:
    assert await same_everywhere(doors, case) in {200, 204, 401, 403, 404, 413, 415, 422}
