"""Servers over HTTP that answer with what they should not: one call fails, soon, and the next one is answered."""

import bz2
import gzip
import json
import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatorch.adapters.tools.mcp.http import _trust
from chatorch.adapters.tools.mcp.servers import McpServer
from chatorch.adapters.tools.mcp.tools import McpTools
from chatorch.ports.tools import ToolError
from tests.support.certificates import Authority
from tests.support.eventually import eventually
from tests.support.mcp_http_toy import HttpToy, head, http_toy, raw, refuse, say
from tests.support.mcp_tools import QUICK, forget_peak, kept, peak_mib, said, stdio_server, within
from tests.support.sizes import size

TIMEOUT_S = 0.4
EVENTS = "text/event-stream"


@pytest.fixture
async def toy() -> AsyncIterator[HttpToy]:
    async with http_toy() as toy:
        yield toy


@pytest.fixture
async def tools(toy: HttpToy) -> AsyncIterator[McpTools]:
    async with kept(server(toy)) as tools:
        yield tools


def server(toy: HttpToy, **given: Any) -> McpServer:
    return McpServer("s", url=toy.url, **{"timeout_s": TIMEOUT_S} | given)


BOMB = gzip.compress(json.dumps({"jsonrpc": "2.0", "id": 1, "result": "x" * 10_000_000}).encode())
SMALL_BOMB = bz2.compress(b" " * 50_000_000)
LONG_EVENT = (head(content_type=EVENTS), b"data: ", b"x" * 65536)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (raw(head("500 Oops", content_type="text/plain"), b"no"), "refused the call: HTTP status 500"),
        (raw(head("403 Forbidden"), b"no"), "refused"),
        (raw(head(), b"no JSON"), "cannot be read"),
        (raw(head(), b'{"jsonrpc":"2.0","id":1,"result":"\\ud800"}'), "cannot be read"),
        (raw(head(content_type="text/html"), b"<p>"), "refused"),
        (raw(head("202 Accepted"), b""), "refused"),
        (raw(head("302 Found", location="http://127.0.0.2:9/x"), b""), "somewhere else"),
        (raw(head("307 Moved", location="http://169.254.169.254/"), b""), "somewhere else"),
        (raw(head(content_encoding="gzip"), BOMB), "of a form that the protocol does not have"),
        (raw(head(content_type=EVENTS, content_encoding="gzip"), BOMB), "of a form that"),
        (raw(head(content_type=f"{EVENTS}; charset=bz2_codec"), SMALL_BOMB), "went away"),
        (raw(head(content_length="100"), b"{"), "cannot be read|went away"),
        (raw(head(content_type=EVENTS), b"data: {\n"), "went away"),
        (raw(head(content_type=EVENTS), b"data: [1]\n\n"), "cannot be read"),
        (raw(b""), "went away"),
        (raw(b"\0garbage\r\n\r\n"), "went away"),
        (refuse(-5, "no\0pe"), "refused the call: no\ufffdpe"),
        (refuse(-32602, ""), "arguments do not fit"),
        (refuse(-32000, "Too many calls"), "refused the call: Too many calls"),
    ],
    ids=range(19),
)
async def test_an_answer_that_is_none_fails_its_call_alone(tools: McpTools, toy: HttpToy, answer: Any, problem: str):
    toy.answer = answer
    async with within(TIMEOUT_S + 0.25):
        with pytest.raises(ToolError, match=problem):
            await said(tools, "s__toy")

    toy.answer = say("hello")
    assert await said(tools, "s__toy") == "hello"


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        (raw(head(), b" ", times=10**6, pause=0.02), "JSON"),
        (raw(head(content_type=EVENTS), b": still here\n\n", times=10**6, pause=0.02), "events"),
        (raw(head(content_type=EVENTS), b"data: ", b"x", times=10**6, pause=0.02), "an event"),
        (raw(b"HTTP/1.1 200 OK\r\nx: ", b"x", times=10**6, pause=0.02), "a head"),
    ],
    ids=range(4),
)
async def test_an_answer_that_drips_is_given_up_in_time(tools: McpTools, toy: HttpToy, answer: Any, times: str):
    toy.answer = answer
    async with within(TIMEOUT_S + 0.25):
        with pytest.raises(ToolError, match=r"did not answer within 0\.4 s"):
            await said(tools, "s__toy")

    toy.answer = say("hello")
    assert await said(tools, "s__toy") == "hello"
    await eventually(lambda: _asked(toy, "notifications/cancelled"))


async def _asked(toy: HttpToy, method: str) -> bool:
    return method in toy.asked


@pytest.mark.parametrize("before", [(head(),), LONG_EVENT[:2]], ids=["json", "event"])
@pytest.mark.parametrize("mib", [10, 100])
async def test_a_large_answer_fails_at_once_and_is_not_held(toy: HttpToy, before: tuple[bytes, ...], mib: int):
    async with kept(server(toy, timeout_s=10)) as tools:
        toy.answer = raw(*before, b"x" * 65536, times=mib * 16)
        forget_peak()
        began_mib = peak_mib()
        async with within(1):
            with pytest.raises(ToolError, match="said more than 1048576 bytes"):
                await said(tools, "s__toy")

        assert peak_mib() - began_mib < 8
        toy.answer = say("hello")
        assert await said(tools, "s__toy") == "hello"


async def test_an_answer_below_the_cap_is_whole(tools: McpTools, toy: HttpToy):
    toy.answer = say("x" * 1_000_000)
    assert await said(tools, "s__toy") == "x" * 1_000_000


async def test_a_server_that_hangs_as_a_whole_fails_each_call_in_time(toy: HttpToy):
    async with kept(server(toy)) as tools:
        toy.is_hung = True
        for _ in range(size(3, 20)):
            async with within(TIMEOUT_S + 0.25):
                with pytest.raises(ToolError):
                    await said(tools, "s__toy")
        toy.is_hung = False


async def test_a_call_follows_to_another_path_of_the_same_server(tools: McpTools, toy: HttpToy):
    async def once_elsewhere(write: Any, asked: dict[str, Any]) -> None:
        toy.answer = say("there")
        await write(head("307 Moved", location="/elsewhere"))

    toy.answer = once_elsewhere
    assert await said(tools, "s__toy") == "there"
    assert any(line.startswith("POST /elsewhere") for line in toy.headers)


async def test_a_session_that_the_server_has_forgotten_is_made_anew_within_the_call(tools: McpTools, toy: HttpToy):
    for toy.session in ("second", "third"):
        toy.asked.clear()
        assert await said(tools, "s__toy") == "hello"
        assert toy.asked.count("initialize") == 1


async def test_a_server_that_forgets_each_session_at_once_is_asked_twice_and_not_for_ever(toy: HttpToy):
    async with kept(server(toy)) as tools:
        toy.answer = raw(head("404 Not Found"), b"")
        async with within(TIMEOUT_S + 0.25):
            with pytest.raises(ToolError, match="not there"):
                await said(tools, "s__toy")
        assert toy.asked.count("tools/call") == 2


async def test_headers_go_along_and_into_no_log(toy: HttpToy, caplog: pytest.LogCaptureFixture):
    headers = {"authorization": "Bearer canary-1234", "x-tenant": "acme"}
    with caplog.at_level(logging.INFO, logger="chatorch"):
        one = server(toy, headers=headers)
        async with kept(one) as tools:
            toy.answer = raw(b"")
            with pytest.raises(ToolError):
                await said(tools, "s__toy", canary="argument-1234")

    assert "authorization: Bearer canary-1234" in toy.headers
    assert "accept-encoding: identity" in toy.headers
    assert "1234" not in caplog.text + repr(one)
    assert "127.0.0.1" not in caplog.text


async def test_why_a_server_is_away_is_told_in_words(toy: HttpToy, caplog: pytest.LogCaptureFixture):
    toy.is_closed_to_us = True
    async with kept(server(toy), is_listed=False) as tools:
        with pytest.raises(ToolError, match="not there"):
            await said(tools, "s__toy")
    async with kept(McpServer("s", url="http://127.0.0.1:1/"), is_listed=False) as tools:
        with pytest.raises(ToolError, match="not there"):
            await said(tools, "s__toy")

    told = [record.args["reason"] for record in caplog.records if "reason" in (record.args or ())]
    assert told == ["HTTP status 401", "it cannot be reached"]


@pytest.mark.parametrize("kind", ["http", "stdio"])
async def test_leaving_does_not_wait_for_a_server_that_never_answers(toy: HttpToy, kind: str):
    toy.is_hung = True
    one = server(toy) if kind == "http" else stdio_server("sleep", "60")
    async with kept(one, is_listed=False) as tools:
        with pytest.raises(ToolError, match="not there"):
            await said(tools, "s__toy")
        async with within(3):
            await tools.aclose()


async def test_the_authorities_of_the_environment_are_trusted_and_no_others(tmp_path: Path, monkeypatch):
    authority = Authority(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("127.0.0.1"))
    for trusted, is_answered in ((authority.root, True), (Authority(tmp_path, "others").root, False)):
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        _trust.cache_clear()
        async with http_toy(tls) as toy, kept(server(toy, timeout_s=2), is_listed=is_answered) as tools:
            if is_answered:
                assert await said(tools, "s__toy") == "hello"
            else:
                with pytest.raises(ToolError, match="not there"):
                    await said(tools, "s__toy")
                assert toy.asked == []
    _trust.cache_clear()


async def test_pages_are_followed_as_far_as_sense_goes(toy: HttpToy):
    one = {"name": "one", "inputSchema": {"type": "object"}}
    two = {"name": "two", "inputSchema": {"type": "object"}}
    toy.pages = [{"tools": [one], "nextCursor": "1"}, {"tools": [two]}]
    async with kept(server(toy)) as tools:
        assert [tool.name for tool in tools.offered()] == ["s__one", "s__two"]

    toy.asked.clear()
    toy.pages = [{"tools": [one], "nextCursor": "0"}]  # the same again, for ever
    async with kept(server(toy)) as tools:
        assert [tool.name for tool in tools.offered()] == ["s__one"]
        assert toy.asked.count("tools/list") == 20


async def test_a_list_with_broken_tools_in_it_is_read_all_the_same(toy: HttpToy):
    good = {"name": "good", "inputSchema": {"type": "object"}, "outputSchema": 3, "icons": "none", "title": []}
    toy.pages = [{"tools": [{"name": "bad"}, good, None]}]
    async with kept(server(toy)) as tools:
        assert [tool.name for tool in tools.offered()] == ["s__good"]
        assert await said(tools, "s__good") == "hello"


@pytest.mark.parametrize("arguments", [{"x": "\0"}, {"x": "\ud800"}, {"x": float("nan")}, {"\ud800": 1}, {"x": 2**70}])
async def test_arguments_that_cannot_be_sent_are_refused_and_harm_nobody(
    tools: McpTools, toy: HttpToy, arguments: dict[str, Any]
):
    with pytest.raises(ToolError, match="arguments"):
        await said(tools, "s__toy", **arguments)
    assert await said(tools, "s__toy") == "hello"


async def test_a_server_is_looked_at_now_and_then(toy: HttpToy):
    async with kept(server(toy), times=replace(QUICK, refresh=0.05)) as tools:
        toy.pages = [{"tools": [{"name": "other", "inputSchema": {"type": "object"}}]}]
        await eventually(lambda: _offers(tools, "s__other"))


async def _offers(tools: McpTools, name: str) -> bool:
    return [tool.name for tool in tools.offered()] == [name]
