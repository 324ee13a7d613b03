"""A model may call a tool that nobody offered: its client, which sends back all that it is given, can go on."""

import pytest

from tests.clients.conftest import NewClient
from tests.clients.openai_chat import CHAT_CLIENTS, RESPONSES_CLIENTS, Clients, at
from tests.support.lossy_line import LossyLine
from tests.support.server import Server
from tests.support.upstream import Upstream, finish, text, usage
from tests.support.upstream_parts import calls, thinks

CALLED = [*thinks("hm"), text("Looking. "), *calls("look", '{"at"', ": 1}"), finish("tool_calls"), usage()]
WELL = [text("Well."), finish(), usage()]


@pytest.mark.parametrize("name", CHAT_CLIENTS)
async def test_over_chat_completions(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
) -> None:
    given = at(line, server.tokens["alice"], upstream.model(CALLED, WELL), texts=["One", "Two"])
    await clients(name).value("converse", **given)
    assert len(line.calls) == 2


@pytest.mark.parametrize("name", RESPONSES_CLIENTS)
async def test_over_responses_by_a_library(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
) -> None:
    given = at(line, server.tokens["alice"], upstream.model(CALLED, WELL), texts=["One", "Two"], responses=True)
    await clients(name).value("converse", **given)
    assert len(line.calls) == 2


@pytest.mark.parametrize("file", ["openai_responses.mjs", "openai_responses.py"])
async def test_over_responses_where_the_client_keeps_what_was_said(
    new_client: NewClient, server: Server, line: LossyLine, upstream: Upstream, file: str
) -> None:
    given = at(line, server.tokens["alice"], upstream.model(CALLED, WELL), texts=["One", "Two"])
    await new_client(file).value("unkept", **given)
    assert len(line.calls) == 2
