"""Providers that answer with another address."""

from collections.abc import AsyncIterator

import pytest

from chatorch.adapters.chatkit_hosted.provider import OpenAIChatKit
from chatorch.adapters.models.upstream.redirects import redirected
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.upstream_errors import UpstreamMoved
from tests.adapters.models.conftest import KEY, NewModel
from tests.support.chat import Heard, listen, prompt
from tests.support.chatkit_upstream import ChatKitUpstream, Plan, chatkit_upstream
from tests.support.upstream import ANSWER, Step, Upstream, refuses, stale, status

PATH = "/v1/chat/completions"
NEW_PATH = "/v2/chat/completions"
SECRET = "canary-of-the-location"


def moved(location: str, code: int = 302) -> Step:
    return status(code, {"location": location}, body="")


def assert_moved(heard: Heard, *words: str) -> None:
    assert type(heard.error) is UpstreamMoved
    assert heard.error.code == "upstream_error"
    assert not heard.error.retryable
    assert heard.error.__context__ is None
    for word in (*words, "OPENAI_BASE_URL"):
        assert word in heard.error.detail
    assert SECRET not in repr(heard.error)


@pytest.mark.parametrize("code", [301, 302, 307, 308])
async def test_a_provider_that_moved_is_followed_with_the_whole_request(
    new_model: NewModel, upstream: Upstream, code: int
) -> None:
    name = upstream.model([moved(f"http://127.0.0.1:{upstream.port}{NEW_PATH}", code)], ANSWER)
    assert (await listen(new_model(), prompt(name, "What was said"))).text == "Hello, world"
    first, second = upstream.seen(name)
    assert (first.method, first.target) == ("POST", PATH)
    assert (second.method, second.target) == ("POST", NEW_PATH)
    assert second.body == first.body
    assert second.headers == first.headers
    assert second.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        (NEW_PATH, NEW_PATH),
        ("../v3/completions", "/v1/v3/completions"),
        ("completions/", f"{PATH.rpartition('/')[0]}/completions/"),
        ("?a=b", f"{PATH}?a=b"),
        (f"//127.0.0.1:PORT{NEW_PATH}", NEW_PATH),
        (f"HTTP://127.0.0.1:PORT{NEW_PATH}", NEW_PATH),
        (f"http://someone:{SECRET}@127.0.0.1:PORT{NEW_PATH}", NEW_PATH),
        (f"{NEW_PATH}#{SECRET}", NEW_PATH),
        ("/v2/a%2Fb%7e?x=%2f&x=&y", "/v2/a%2Fb%7e?x=%2f&x=&y"),
        ("/v2/with space/\u00e9", "/v2/with%20space/%C3%A9"),
        (f"  {NEW_PATH}  ", NEW_PATH),
    ],
)
async def test_a_location_is_read_as_it_stands(
    new_model: NewModel, upstream: Upstream, location: str, target: str
) -> None:
    name = upstream.model([moved(location.replace("PORT", str(upstream.port)))], ANSWER)
    assert (await listen(new_model(), prompt(name))).finish
    assert upstream.seen(name)[1].target == target
    assert upstream.seen(name)[1].headers["authorization"] == f"Bearer {KEY}"


async def test_three_redirects_are_followed_and_not_a_fourth(new_model: NewModel, upstream: Upstream) -> None:
    hops = [[moved(f"/v1/{i}")] for i in range(4)]
    name = upstream.model(*hops[:3], ANSWER)
    assert (await listen(new_model(), prompt(name))).finish
    name = upstream.model(*hops, ANSWER)
    assert_moved(await listen(new_model(max_retries=2), prompt(name)), "too often")
    assert [seen.target for seen in upstream.seen(name)] == [PATH, "/v1/0", "/v1/1", "/v1/2"]


async def test_circles_end(new_model: NewModel, upstream: Upstream) -> None:
    name = upstream.model(moved(PATH, 307))
    assert_moved(await listen(new_model(max_retries=2), prompt(name)), "circles")
    assert len(upstream.seen(name)) == 4


@pytest.mark.parametrize("code", [301, 302, 307, 308])
@pytest.mark.parametrize(
    "location", ["http://localhost:PORT/v1?SECRET", "//localhost:PORT/v1", "http://127.0.0.2:PORT/"]
)
async def test_nothing_goes_to_another_host(new_model: NewModel, upstream: Upstream, code: int, location: str) -> None:
    """They are the same server, which would have heard of it."""
    location = location.replace("PORT", str(upstream.port)).replace("SECRET", SECRET)
    name = upstream.model([moved(location, code)], ANSWER)
    assert_moved(await listen(new_model(max_retries=2), prompt(name)), "redirects to another host")
    assert len(upstream.seen(name)) == 1


async def test_another_port_is_another_host(new_model: NewModel, upstream: Upstream) -> None:
    other = Upstream()
    try:
        name = upstream.model([moved(f"{other.base_url}/chat/completions")], ANSWER)
        assert_moved(await listen(new_model(max_retries=2), prompt(name)), "another host or port")
        assert other.seen() == []
    finally:
        other.stop()


@pytest.mark.parametrize("code", [300, 303, 304, 305, 306, 399])
async def test_other_redirects_are_refused_by_their_number(new_model: NewModel, upstream: Upstream, code: int) -> None:
    name = upstream.model([moved(NEW_PATH, code)], ANSWER)
    assert_moved(await listen(new_model(max_retries=2), prompt(name)), str(code))
    assert len(upstream.seen(name)) == 1


@pytest.mark.parametrize(
    "location",
    [
        "",
        " ",
        "http://",
        "http://[::1",
        "http://127.0.0.1:port/",
        "ftp://127.0.0.1/",
        "javascript:alert(1)",
        "http:///x",
    ],
)
async def test_a_location_that_leads_nowhere_is_refused(new_model: NewModel, upstream: Upstream, location: str) -> None:
    name = upstream.model([moved(location)], ANSWER)
    assert_moved(await listen(new_model(max_retries=2), prompt(name)), "without saying where to")
    assert len(upstream.seen(name)) == 1


async def test_a_redirect_without_a_location_is_refused(new_model: NewModel, upstream: Upstream) -> None:
    name = upstream.model([status(301)], ANSWER)
    assert_moved(await listen(new_model(max_retries=2), prompt(name)), "without saying where to")
    assert len(upstream.seen(name)) == 1


async def test_what_follows_a_redirect_is_an_ordinary_request(new_model: NewModel, upstream: Upstream) -> None:
    """With retries, stale connections and members that are refused."""
    refusal = status(400, body='{"error": {"param": "stream_options"}}')
    model = new_model(max_retries=1)
    name = upstream.model(
        [moved(NEW_PATH)], [status(503, {"retry-after-ms": "1"})], [moved(NEW_PATH)], [stale()], [refusal], ANSWER
    )
    assert (await listen(model, prompt(name))).text == "Hello, world"
    assert [seen.target for seen in upstream.seen(name)] == [PATH, NEW_PATH, PATH, NEW_PATH, NEW_PATH, PATH]
    name = upstream.model([moved(NEW_PATH)], [refuses("stream", status(503))])
    assert (await listen(new_model(), prompt(name))).error


@pytest.mark.parametrize(
    ("url", "location", "to"),
    [
        ("http://a.test/v1", "https://a.test/v1", "https://a.test/v1"),
        ("http://a.test:80/v1", "https://a.test:443/v1", "https://a.test:443/v1"),
        ("https://a.test/v1", "https://a.test:443/v2", "https://a.test:443/v2"),
        ("https://a.test/v1", "https://A.test/v2", "https://A.test/v2"),
        ("http://[::1]/v1", "https://[::1]/v1", "https://[::1]/v1"),
        ("https://a.test/v1", "http://a.test/v1", None),
        ("https://a.test:8443/v1", "http://a.test:8443/v1", None),
        ("http://a.test:8080/v1", "https://a.test/v1", None),
        ("http://a.test/v1", "https://a.test:8443/v1", None),
        ("http://a.test:8080/v1", "https://a.test:8080/v1", None),
        ("https://a.test/v1", "https://a.test.evil.test/v1", None),
        ("https://a.test/v1", "https://a.test@evil.test/v1", None),
        ("https://a.test/v1", "https://evil.test\\@a.test/v1", None),
        ("https://a.test/v1", "https://b.a.test/v1", None),
        ("https://a.test/v1", "https://a.test:0/v1", None),
        ("https://a.test/v1", "https://a.test:99999/v1", None),
    ],
)
def test_only_the_way_to_https_on_the_same_host_is_open(url: str, location: str, to: str | None) -> None:
    if to is not None:
        assert redirected(url, 308, [location]) == to
    else:
        with pytest.raises(UpstreamMoved) as caught:
            redirected(url, 308, [location])
        assert "its address" in caught.value.detail
        assert "test" not in caught.value.detail


def test_two_locations_are_none_unless_they_are_the_same() -> None:
    assert redirected("http://a.test/v1", 301, ["/v2", "/v2"]) == "http://a.test/v2"
    with pytest.raises(UpstreamMoved):
        redirected("http://a.test/v1", 301, ["/v2", "/v3"])


@pytest.fixture
async def hosted() -> AsyncIterator[ChatKitUpstream]:
    async with chatkit_upstream() as server:
        yield server


async def test_hosted_chatkit_is_followed_on_its_host_only(hosted: ChatKitUpstream) -> None:
    hosted.plans = [
        Plan(status=307, creates=False, location="/v1/chatkit/sessions?moved"),
        Plan(),
        Plan(status=308, creates=False, location=f"http://localhost:{hosted.port}/v1/chatkit/sessions"),
    ]
    chatkit = OpenAIChatKit(KEY, hosted.base_url)
    session = await chatkit.create(UserId("usr_ann"), "wf_one")
    assert session.id in hosted.sessions
    with pytest.raises(UpstreamMoved):
        await chatkit.create(UserId("usr_ann"), "wf_one")
    await chatkit.aclose()
    path = "POST /v1/chatkit/sessions"
    assert hosted.requests == [path, f"{path}?moved", path]
