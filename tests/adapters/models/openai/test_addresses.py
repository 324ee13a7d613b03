"""What may stand in OPENAI_BASE_URL, and what is asked then."""

import gc
import io
import logging
import traceback
from collections.abc import Iterator

import pytest

from chatorch.adapters.chatkit_hosted.provider import OpenAIChatKit
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import PageRequest
from tests.adapters.models.conftest import KEY, NewModel
from tests.support import upstream as play
from tests.support.chat import listen, prompt
from tests.support.chatkit_upstream import Plan, chatkit_upstream
from tests.support.logged import logged
from tests.support.upstream import ANSWER, Script, Upstream

SECRET = "canary-of-the-query"


@pytest.mark.parametrize(
    ("rest", "target"),
    [
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/v1?api-version=X", "/v1/chat/completions?api-version=X"),
        ("/v1/?api-version=X", "/v1/chat/completions?api-version=X"),
        ("?api-version=X", "/chat/completions?api-version=X"),
        ("/?api-version=X", "/chat/completions?api-version=X"),
        ("/openai/deployments/d?api-version=2024-10", "/openai/deployments/d/chat/completions?api-version=2024-10"),
        ("/v1?b=2&a=1&b=1&a", "/v1/chat/completions?b=2&a=1&b=1&a"),
        ("/v1?a=&=b&&c", "/v1/chat/completions?a=&=b&&c"),
        ("/v1?a=%2f%2F%7E~+%20&b=a/b?c", "/v1/chat/completions?a=%2f%2F%7E~+%20&b=a/b?c"),
        ("/v1?a=[1]&b={2}&c=100%", "/v1/chat/completions?a=[1]&b={2}&c=100%"),
        ("/v1?a=b c&d=\u00e9", "/v1/chat/completions?a=b%20c&d=%C3%A9"),
        ("/v1?a=b#here", "/v1/chat/completions?a=b"),
        ("/v1#here?a=b", "/v1/chat/completions"),
        ("/v1?", "/v1/chat/completions"),
        ("/v%7E1?a=b", "/v%7E1/chat/completions?a=b"),
    ],
)  # fmt: skip
async def test_the_query_stays_as_it_was_given(new_model: NewModel, upstream: Upstream, rest: str, target: str) -> None:
    name = upstream.model([play.status(503, {"retry-after-ms": "1"})], ANSWER)
    model = new_model(base_url=upstream.base_url.removesuffix("/v1") + rest, max_retries=1)
    for _ in range(2):
        assert (await listen(model, prompt(name))).finish
    assert {(seen.method, seen.target) for seen in upstream.seen(name)} == {("POST", target)}


async def test_credentials_and_a_query_go_together(new_model: NewModel, upstream: Upstream) -> None:
    name = upstream.model(*ANSWER)
    address = upstream.base_url.replace("http://", "http://me:p%40ss@")
    assert (await listen(new_model(base_url=f"{address}?a=p@ss:word/"), prompt(name))).finish
    [seen] = upstream.seen(name)
    assert seen.target == "/v1/chat/completions?a=p@ss:word/"
    assert seen.headers["authorization"] == "Basic bWU6cEBzcw=="


async def test_hosted_chatkit_asks_with_the_query_too() -> None:
    async with chatkit_upstream() as hosted:
        hosted.plans = [Plan()]
        chatkit = OpenAIChatKit(KEY, f"{hosted.base_url}?api-version=X&a=%2f&a=")
        session = await chatkit.create(UserId("usr_ann"), "wf_one")
        await chatkit.list_threads(UserId("usr_ann"), PageRequest(limit=3))
        await chatkit.cancel(session.id)
        await chatkit.aclose()
    query = "api-version=X&a=%2f&a="
    created, listed, cancelled = hosted.requests
    assert created == f"POST /v1/chatkit/sessions?{query}"
    assert cancelled == f"POST /v1/chatkit/sessions/{session.id}/cancel?{query}"
    assert listed.startswith("GET /v1/chatkit/threads?")
    assert listed.endswith(f"&{query}")
    assert "limit=3" in listed
    assert "user=usr_ann" in listed


@pytest.fixture
def everything() -> Iterator[io.StringIO]:
    """What any library logs, at its most talkative."""
    written, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(written), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.mark.parametrize(
    "script",
    [
        ANSWER,
        [play.status(400, body='{"error": {"param": "stream_options"}}')],
        [play.status(404)],
        [play.status(302, {"location": "http://localhost/"})],
        [play.status(302, {"location": "/v1/chat/completions"})],
        [play.reset()],
        [play.bare(b"nonsense\r\n\r\n")],
        [play.text("a"), play.reset()],
        [play.html()],
    ],
)
async def test_a_key_in_the_query_is_not_shown(
    new_model: NewModel, upstream: Upstream, script: Script, everything: io.StringIO
) -> None:
    name = upstream.model(*script)
    heard = await listen(new_model(base_url=f"{upstream.base_url}?key={SECRET}", max_retries=0), prompt(name))
    if heard.error is not None:
        assert SECRET not in "".join([repr(heard.error), *traceback.format_exception(heard.error)])
        assert heard.error.__context__ is None
    gc.collect(1)
    assert upstream.seen(name)[0].target.endswith(f"?key={SECRET}")
    assert everything.getvalue()
    assert SECRET not in everything.getvalue()


async def test_no_library_says_what_address_is_asked_however_much_we_log(
    new_model: NewModel, upstream: Upstream
) -> None:
    name = upstream.model(*ANSWER)
    with logged(level="debug") as log:
        assert (await listen(new_model(), prompt(name))).finish
    assert "completions" not in log.text
