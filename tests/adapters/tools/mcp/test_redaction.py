"""A server that says again what it was let in with."""

import json
import logging
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatorch.adapters.tools.mcp.servers import McpServer
from chatorch.ports.tools import ToolArgumentsInvalid, ToolError, ToolOutput, ToolProgress
from tests.support.eventually import eventually
from tests.support.mcp_http_toy import Answer, HttpToy, Write, head, http_toy, refuse, reply, say
from tests.support.mcp_tools import ROOT, TOY, kept, pieces, said

CANARY = "HDRCANARY4711"
HEADERS = {"Authorization": f"Bearer {CANARY}", "X-Mode": "fast", "X-Protocol": "2025-06-18"}


@pytest.fixture
async def toy() -> AsyncIterator[HttpToy]:
    async with http_toy() as toy:
        yield toy


def result(**members: Any) -> Answer:
    async def answer(write: Write, asked: dict[str, Any]) -> None:
        await write(head() + reply(asked, members))

    return answer


def progress(message: str) -> Answer:
    async def answer(write: Write, asked: dict[str, Any]) -> None:
        params = {"progressToken": asked["params"]["_meta"]["progressToken"], "progress": 1, "message": message}
        notice = json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}).encode()
        last = reply(asked, {"content": [{"type": "text", "text": "done"}]})
        await write(head(content_type="text/event-stream") + b"data: " + notice + b"\n\ndata: " + last + b"\n\n")

    return answer


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (refuse(-5, f"invalid token Bearer {CANARY}"), ToolError, "refused the call: invalid token [redacted]"),
        (refuse(-5, "x" * 1990 + CANARY), ToolError, "x[redacted]"),
        (refuse(-32602, f"not {CANARY}."), ToolArgumentsInvalid, "not [redacted]."),
    ],
    ids=range(3),
)
async def test_an_error_holds_no_credential(
    toy: HttpToy, answer: Answer, kind: type[ToolError], told: str, caplog: pytest.LogCaptureFixture
):
    async with kept(McpServer("s", url=toy.url, headers=HEADERS)) as tools:
        toy.answer = answer
        with pytest.raises(kind) as caught:
            await said(tools, "s__toy")
    assert str(caught.value).endswith(told)
    assert CANARY not in caplog.text


BLOCK = {"type": "text", "text": f"{CANARY} {CANARY} fast of 2025-06-18, with bearer"}
TEXT = "[redacted] [redacted] fast of [redacted], with bearer"
RESOURCE = {"uri": f"file:///{CANARY}", "mimeType": f"text/{CANARY}", "text": CANARY}


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"content": [BLOCK]}, TEXT),
        ({"content": [BLOCK], "isError": True}, TEXT),
        ({"content": [{"type": "resource", "resource": RESOURCE}]}, "[redacted]"),
        ({"content": [{"type": "image", "data": "QUJD", "mimeType": CANARY}]}, "[image, [redacted], 3 bytes]"),
        ({"content": [], "structuredContent": {CANARY: [{"a": CANARY}, 1]}}, '{"[redacted]":[{"a":"[redacted]"},1]}'),
    ],
    ids=range(5),
)
async def test_a_result_holds_no_credential(toy: HttpToy, members: dict[str, Any], told: str):
    async with kept(McpServer("s", url=toy.url, headers=HEADERS)) as tools:
        toy.answer = result(**members)
        assert await said(tools, "s__toy") == told


async def test_progress_and_descriptions_hold_no_credential(toy: HttpToy):
    schema = {"type": "object", "properties": {"a": {"type": "string", "description": CANARY, "default": CANARY}}}
    toy.pages = [{"tools": [{"name": "toy", "description": f"As {CANARY}.", "inputSchema": schema}]}]
    async with kept(McpServer("s", url=toy.url, headers=HEADERS)) as tools:
        toy.answer = progress("a" * 995 + CANARY)
        first, last = await pieces(tools, "s__toy")
        [tool] = tools.offered()
    assert isinstance(first, ToolProgress)
    assert first.data == {"progress": 1, "message": "a" * 995 + "[red…"}
    assert last == ToolOutput("done")
    assert tool.description == "As [redacted]."
    given = {"type": "string", "description": "[redacted]", "default": "[redacted]"}
    assert tool.parameters["properties"] == {"a": given}


async def test_what_stands_in_an_address_is_no_more_told_than_a_header(toy: HttpToy):
    url = toy.url.replace("//", "//ada:hun%20ter@") + f"?key={CANARY}&page=1"
    async with kept(McpServer("s", url=url)) as tools:
        sent = next(line[21:] for line in toy.headers if line.lower().startswith("authorization: basic "))
        toy.answer = say(f"{sent} ada hun%20ter, hun ter, {CANARY} 1")
        assert await said(tools, "s__toy") == "[redacted] ada [redacted], [redacted], [redacted] 1"
    async with kept(McpServer("s", url=toy.url.replace("//", f"//{CANARY}@"))) as tools:
        toy.answer = say(CANARY)
        assert await said(tools, "s__toy") == "[redacted]"


async def test_variables_of_a_program_are_not_told_but_folders_are(caplog: pytest.LogCaptureFixture):
    env = {"TOKEN": CANARY, "ROOT": ROOT, "SIZE": "small", "PASSWORD": f"/{CANARY}", "LONG": "/" + "x" * 9999}
    async with kept(McpServer("s", command=TOY, env=env)) as tools:
        told = await said(tools, "s__toy", do="say", text=f"{CANARY} {ROOT}/x small /{CANARY}")
    assert told == f"[redacted] {ROOT}/x small [redacted]"

    says = "import os, sys; sys.exit('x' * 495 + os.environ['TOKEN'])"
    with caplog.at_level(logging.INFO, logger="chatorch"):
        async with kept(McpServer("s", command=(sys.executable, "-c", says), env=env), is_listed=False) as tools:
            found = await tools.found("s")
            await eventually(lambda: _logged(caplog, "[red"))
    assert found.last_words == "x" * 495 + "[red…"
    assert CANARY[:3] not in caplog.text


async def _logged(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return text in caplog.text
