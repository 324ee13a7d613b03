"""Which of a server's tools are offered, and as what."""

import logging
from typing import Any

import pytest
from mcp_types import Tool as McpTool

from chatorch.adapters.tools.mcp.offers import MAX_DESCRIPTION_CHARS, MAX_SCHEMA_CHARS, MAX_TOOLS, Sieve
from chatorch.adapters.tools.mcp.servers import McpServer
from chatorch.domain.model.tools import CarriedOutBy, Tool

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}


def offered(*listed: Any, **given: Any) -> list[Tool]:
    sieve = Sieve(McpServer("files", url="http://localhost", **given))
    tools = [McpTool.model_validate(tool) for tool in sieve.sift(listed)]
    return [offer.tool for offer in sieve.offers(tools).values()]


def test_a_tool_is_offered_as_its_server_tells_of_it():
    (tool,) = offered({"name": "read", "description": "Reads.", "inputSchema": SCHEMA})

    assert (tool.name, tool.description, tool.parameters) == ("files__read", "Reads.", SCHEMA)
    assert (tool.by, tool.scope) == (CarriedOutBy.SERVER, None)


@pytest.mark.parametrize(
    ("hints", "annotated", "declared", "is_idempotent"),
    [
        (None, True, False, False),
        ({}, True, False, False),
        ({"destructiveHint": True}, True, True, False),
        ({"destructiveHint": False}, False, False, False),
        ({"readOnlyHint": True}, False, False, True),
        ({"readOnlyHint": True, "destructiveHint": True}, False, False, True),
        ({"readOnlyHint": False}, True, False, False),
        ({"idempotentHint": True}, True, False, True),
        ({"destructiveHint": "yes", "idempotentHint": 1}, True, False, False),  # no booleans
        ("none", True, False, False),
    ],
)
def test_hints_decide_unless_the_operator_does(hints: Any, annotated: bool, declared: bool, is_idempotent: bool):
    listed = {"name": "t", "inputSchema": SCHEMA, "annotations": hints}
    needed = {approval: offered(listed, approval=approval)[0].needs_approval for approval in APPROVALS}

    assert needed == {"annotated": annotated, "declared": declared, "always": True, "never": False}
    assert offered(listed)[0].idempotent is is_idempotent
    assert offered(listed)[0].needs_approval is annotated


APPROVALS = ("annotated", "declared", "always", "never")


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "bad"},
        {"name": "bad", "inputSchema": None},
        {"name": "bad", "inputSchema": []},
        {"name": "bad", "inputSchema": {}},
        {"name": "bad", "inputSchema": {"type": "string"}},
        {"name": "bad", "inputSchema": {"type": "object", "properties": []}},
        {"name": "bad", "inputSchema": {"type": "object", "default": "\0"}},
        {"name": "bad", "inputSchema": {"type": "object", "maximum": 10**30}},
        {"name": "bad", "inputSchema": {"type": "object", "description": "x" * MAX_SCHEMA_CHARS}},
    ],
    ids=range(9),
)
def test_a_tool_without_a_schema_of_an_object_is_left_out_alone_and_named(
    broken: Any, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        tools = offered({"name": "good", "inputSchema": SCHEMA}, broken, {"name": "also", "inputSchema": SCHEMA})

    assert [tool.name for tool in tools] == ["files__good", "files__also"]
    assert [(record.args["server"], record.args["tool"]) for record in caplog.records] == [("files", "bad")]


@pytest.mark.parametrize("broken", [None, 3, "x", [], {}, {"name": ""}, {"name": 3}])
def test_what_is_no_tool_at_all_is_left_out(broken: Any):
    assert [tool.name for tool in offered(broken, {"name": "good", "inputSchema": SCHEMA})] == ["files__good"]


def test_a_server_is_named_for_a_tool_once_however_often_it_lists_it(caplog: pytest.LogCaptureFixture):
    sieve = Sieve(McpServer("files", url="http://localhost"))
    for _ in range(3):
        assert sieve.sift([{"name": "bad"}]) == []
    assert len(caplog.records) == 1


def test_texts_are_cut_and_clean():
    (tool,) = offered({"name": "t", "description": "\0" + "x" * 5000, "inputSchema": SCHEMA})
    assert len(tool.description) == MAX_DESCRIPTION_CHARS
    assert tool.description.startswith("\ufffdx")
    assert tool.description.endswith("…")


def test_of_two_by_one_name_the_first_is_offered_and_there_is_an_end():
    same = [{"name": "t", "description": text, "inputSchema": SCHEMA} for text in ("one", "two")]
    many = [{"name": f"t{number}", "inputSchema": SCHEMA} for number in range(MAX_TOOLS + 10)]

    assert [tool.description for tool in offered(*same)] == ["one"]
    assert len(offered(*many)) == MAX_TOOLS


def test_a_schema_without_properties_has_none_in_it():
    (tool,) = offered({"name": "t", "inputSchema": {"type": "object"}})
    assert tool.parameters == {"type": "object", "properties": {}}
