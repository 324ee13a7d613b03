"""JSON bodies, forms and addresses that no store could keep."""

import functools
import gc
import json
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatorch.entrypoints.api.schemas import ChatRequest
from chatorch.entrypoints.common.door import Doors
from chatorch.entrypoints.common.error_responses import ErrorResponses
from chatorch.entrypoints.common.field_paths import FieldNames
from chatorch.entrypoints.common.strict_json import MAX_DEPTH, parse_json
from tests.support.plumbed_app import client_of, plumbed_app
from tests.support.sizes import size

JSON = {"Content-Type": "application/json"}
CANARY = "canary"
NAMES = FieldNames.of(ChatRequest)
BOM = b"\xef\xbb\xbf"


def chat(content: str = '"hi"', metadata: str = "{}") -> bytes:
    return b'{"messages":[{"role":"user","content":%b,"metadata":%b}]}' % (content.encode(), metadata.encode())


application = functools.cache(plumbed_app)


async def post(body: bytes, content_type: str | None = "application/json", path: str = "/api/chat"):
    headers = {"Content-Type": content_type} if content_type else {}
    async with client_of(application()) as client:
        return await client.post(path, content=body, headers=headers)


async def test_an_ordinary_body_is_taken():
    answer = await post(chat('"h\\u00e9 \\ud83d\\ude00 \\\\u0000"', '{"a": [1, 2.5, null, true, "\\\\u0000"]}'))
    assert (answer.status_code, answer.json()) == (200, {"messages": 1})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b'{"messages":[]} ' + CANARY.encode(), "body"),
        (b"null", "body"),
        (b"[]", "body"),
        (b'"canary"', "body"),
        (BOM, "body"),
        (BOM + b"{}", "messages"),
        (BOM + BOM + chat(), "body"),
        (b" " + BOM + chat(), "body"),
        (chat() + BOM, "body"),
        (chat().decode().encode("utf-16"), "body"),
        (chat().decode().encode("utf-16-be"), "body"),
        (chat().decode().encode("utf-16-le"), "body"),
        (b"\xfe\xff" + chat().decode().encode("utf-16-be"), "body"),
        (chat().decode().encode("utf-32"), "body"),
        (chat().decode().encode("utf-32-be"), "body"),
        (b'{"messages": "\xff\xfe canary"}', "body"),
        (b'{"messages": "\xed\xa0\x80 canary"}', "body"),
        (chat('"\\ud800 canary"'), "body"),
        (chat('"\\udc00\\ud800 canary"'), "body"),
        (chat("NaN"), "body"),
        (chat(metadata='{"canary": Infinity}'), "body"),
        (chat(metadata='{"canary": -1e999}'), "body"),
        (chat(metadata='{"canary": %s}' % ("9" * 5000)), "body"),
        (chat('"canary\\u0000"'), "messages.0.content"),
        (chat(metadata='{"canary": ["\\u0000"]}'), "messages.0.metadata.*.0"),
        (chat(metadata='{"canary\\u0000": 1}'), "messages.0.metadata"),
        (chat(metadata='{"canary": %s}' % ("[" * 100 + "]" * 100)), "body"),
        (b"[" * 200 + b"]" * 200, "body"),
        (b"[" * 20000 + b"]" * 20000, "body"),
        (chat(metadata='{"canary": "%s"}' % ("x" * 16_384)), "messages.0.metadata"),
        (chat('""'), "messages.0.content"),
        (chat("5"), "messages.0.content"),
        (b'{"messages":[{"role":"canary","content":"x"}]}', "messages.0.role"),
        (b'{"messages":[{"role":"user","content":"x"}],"stream":"canary"}', "stream"),
        (b'{"messages":[{"role":"user","content":"x"}],"canary":1}', "*"),
        (b'{"messages":[]}', "messages"),
        (b"{}", "messages"),
    ],
)
async def test_a_body_that_is_wrong_is_a_422_that_says_where_and_repeats_nothing(body, field):
    answer = await post(body)
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert CANARY not in answer.text


def nested(levels: int) -> bytes:
    """A chat whose innermost array lies at this level of the whole body."""
    inner = levels - 4
    return chat(metadata='{"a": %s}' % ("[" * inner + "]" * inner))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
async def test_another_encoding_is_named_as_what_is_wrong(encoding: str):
    answer = await post(chat().decode().encode(encoding))
    assert answer.json()["detail"] == "body: must be UTF-8; this looks like UTF-16 or UTF-32"


async def test_nesting_is_taken_up_to_the_limit_and_not_beyond():
    assert (await post(nested(MAX_DEPTH))).status_code == 200
    assert (await post(nested(MAX_DEPTH + 1))).status_code == 422


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "jsonish", "image/json"]
)
async def test_a_body_that_does_not_say_it_is_json_is_refused(content_type):
    answer = await post(chat(), content_type)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/a+json"])
async def test_every_spelling_of_json_is_taken(content_type):
    assert (await post(chat(), content_type)).status_code == 200


async def test_an_optional_body_may_be_left_out():
    assert (await post(b"", None, "/api/retry")).json() == {"stream": False}
    assert (await post(b'{"stream": true}', path="/api/retry")).json() == {"stream": True}


@settings(max_examples=size(60, 200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters()),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
        ).map(
            lambda value: json.dumps(
                {"messages": [{"role": "user", "content": "x", "metadata": {"a": value}}]}
            ).encode()
        ),
    )
)
async def test_no_body_at_all_is_a_server_error(body):
    answer = await post(body)
    assert answer.status_code in {200, 422}


@pytest.mark.parametrize("path", ["/api/threads/a%00b", "/%00"])
async def test_nul_in_a_path_is_no_address(path):
    async with client_of(plumbed_app()) as client:
        answer = await client.patch(path, json={})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("query", "status"), [("after=%00", 422), ("after=%ff%zz", 200), ("limit=0", 422), ("limit=x", 422)]
)
async def test_a_query_that_is_wrong_is_a_422(query, status):
    async with client_of(plumbed_app()) as client:
        answer = await client.get(f"/api/list?{query}")
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"grant_type=password&username=zoe&password=secret&client_id=x", 200),
        (b"grant_type=password&username=%ff%fe&password=%zz", 200),
        (b"grant_type=password&username=zoe%00&password=x", 422),
        (b"grant_type=password&username=zoe&password=x%00", 422),
        (b"grant_type=refresh&username=zoe&password=x", 422),
        (b"username=zoe&password=x", 422),
        (b"grant_type=password&username=zoe&password=" + b"x" * 1025, 422),
        (b"\x00\xff", 422),
        (b"", 422),
    ],
)
async def test_the_token_form_is_checked_like_the_rest(body, status):
    answer = await post(body, "application/x-www-form-urlencoded", "/api/token")
    assert answer.status_code == status
    assert "zoe" not in answer.text or status == 200


def mebibyte(start: bytes, repeated: bytes, end: bytes) -> bytes:
    return start + repeated * ((2**20 - len(start) - len(end)) // len(repeated)) + end


LADDER = b"[" * 62 + b"]" * 62 + b","
MANY_NAMES = b",".join(b'"name%d":0' % i for i in range(70_000))
NAMES_IN_MESSAGES = b",".join([b"{" + b",".join(b'"n%d":0' % i for i in range(40)) + b"}"] * 999)


@pytest.mark.parametrize(
    "body",
    [
        mebibyte(b"[", b"[],", b"[]]"),
        mebibyte(b"[", LADDER, b"0]"),
        mebibyte(b"[", LADDER, b'"\\u0000"]'),
        b"[" * 2**19 + b"]" * 2**19,
        mebibyte(b"[", b"0,", b'"\\u0000"]'),
        mebibyte(b"[", b'"[",', b'"]"]'),
        b"{" + MANY_NAMES + b"}",
        b'{"messages":[' + NAMES_IN_MESSAGES + b"]}",
    ],
    ids=["lists", "ladders", "ladders and NUL", "depth", "NUL", "strings", "names", "names in messages"],
)
def test_no_body_of_a_mebibyte_holds_the_loop_for_long(body: bytes):
    def take() -> None:
        with suppress(RequestValidationError):
            ChatRequest.model_validate(parse_json(body))

    assert quickest(take) < 0.1


def quickest(action: Callable[[], None]) -> float:
    """Of a few times, in seconds of this thread: another's use of the processor, and cleaning up, are not meant."""
    gc.disable()  # it would walk all that the tests have made, again and again
    try:
        times = []
        for _ in range(3):
            started = time.thread_time()
            with suppress(ValueError):
                action()
            times.append(time.thread_time() - started)
        return min(times)
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{" + MANY_NAMES + b"}", "body"),
        (b'{"messages":[' + NAMES_IN_MESSAGES + b"]}", "messages.0"),
        (chat(metadata='{"a":[' + "[]," * 20_000 + "[]]}"), "body"),
        (chat('"' + "," * 20_001 + '\\u0000"'), "body"),
    ],
)
def test_more_than_any_request_can_mean_is_one_mistake_however_much_it_is(body: bytes, field: str):
    with pytest.raises(RequestValidationError) as refused:
        parse_json(body)
    assert [NAMES.path(error["loc"][1:]) for error in refused.value.errors()] == [field]


async def test_brackets_and_names_that_a_request_can_mean_are_taken():
    brackets = json.dumps("[{" * 20_000 + '\\"' * 7)
    names = json.dumps({f"name{i}": [] for i in range(1000)})
    assert (await post(chat(brackets, names))).status_code == 200


def test_of_a_hundred_thousand_mistakes_only_the_first_are_described():
    mistakes = [{"type": "extra_forbidden", "loc": ("body", f"name{i}"), "msg": ""} for i in range(100_000)]
    started = time.thread_time()

    answer = json.loads(ErrorResponses(Doors()).answer(RequestValidationError(mistakes), {"path": "/"}).body)

    assert time.thread_time() - started < 0.5
    assert len(answer["errors"]) == 20
    assert answer["detail"].endswith("and 99997 more")
