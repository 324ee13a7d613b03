"""Rules of tools that mean none on purpose, and others that mean none."""

from chatorch.domain.model.identity import Principal, Scope, UserId
from chatorch.domain.model.tool_policy import ToolPolicy, tool_rules
from chatorch.domain.model.tools import Tool

ADA = Principal(UserId("usr_ada"), "ada", frozenset({Scope.CHAT}))


def test_a_dash_is_no_tool_and_no_mistake():
    policy = ToolPolicy(tool_rules(["-"]))
    assert not policy.allows(ADA, Tool("search", "", {}))
    assert policy.unused(["search"]) == []


def test_a_rule_that_is_misspelt_is_one():
    assert ToolPolicy(tool_rules(["search", "serch"]), tool_rules(["*"])).unused(["search"]) == ["serch"]
