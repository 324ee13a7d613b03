"""Node's fetch on chatorch's own API: what the tests of clients stand on works, whichever doors there are."""

import pytest

from tests.clients.conftest import NewClient
from tests.e2e.conftest import NewServer
from tests.support.client_process import ClientProcess
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server, serving
from tests.support.upstream import ANSWER, Upstream, pause, text


@pytest.fixture(scope="module")
def fetch(new_client: NewClient) -> ClientProcess:
    return new_client("fetch.mjs")


async def test_an_answer_whole(fetch: ClientProcess, server: Server, upstream: Upstream):
    call = fetch.begin("chat", url=server.url, token=server.tokens["alice"], model=upstream.model(ANSWER))
    await call.value()
    assert call.texts() == "Hello, world"


async def test_one_that_leaves_is_told_nothing_more(fetch: ClientProcess, server: Server, upstream: Upstream):
    model = upstream.model(text("one "), pause("left"), *ANSWER)
    call = fetch.begin("chat", url=server.url, token=server.tokens["alice"], model=model)
    await call.until("text")
    call.say("leave")
    assert (await call.error())["name"] == "AbortError"
    upstream.release("left")
    assert call.texts() == "one "


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_an_answer_is_cut_where_the_test_says(
    fetch: ClientProcess, server: Server, line: LossyLine, upstream: Upstream, how: str
):
    model = upstream.model(text("one ", "two "), pause(how), text("three"))
    line.cut(b"two ", call="POST /api/chat/protected", how=how)
    call = fetch.begin("chat", url=line.url, token=server.tokens["alice"], model=model)
    assert (await call.error())["message"] == "terminated"
    upstream.release(how)
    assert "three" not in call.texts()
    assert line.calls == ["POST /api/chat/protected"]


async def test_a_server_is_killed_between_two_pieces_that_a_client_has_seen(
    fetch: ClientProcess, new_server: NewServer, upstream: Upstream
):
    model = upstream.model(text("one "), pause("harness killed"), text("two"))
    async with serving(await new_server()) as server, lossy_line(server.port) as line:
        call = fetch.begin("chat", url=line.url, token=server.tokens["alice"], model=model)
        await call.until("text")
        await server.kill()
        assert (await call.error())["message"] == "terminated"
    assert call.texts() == "one "
