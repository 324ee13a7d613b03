"""Who may use which tool, and which are not called before a person has agreed: by name, as the operator says."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from chatorch.domain.model.identity import Principal, Scope
from chatorch.domain.model.tools import Tool

ALL, NONE = "*", "-"
_NAMES = re.compile(r"[A-Za-z0-9_*-]+")


@dataclass(frozen=True, slots=True)
class ToolRule:
    """Tools by name, ``*`` standing for any characters; where `scope` is there, for who has it."""

    names: str
    scope: Scope | None = None

    @classmethod
    def parse(cls, rule: str) -> "ToolRule":
        """``github__*``, or ``admin:github__*``. Raises `ValueError` for a scope that is none, and for what is
        no tool's name."""
        scope, colon, names = rule.rpartition(":")
        if not _NAMES.fullmatch(names):
            raise ValueError("a rule that no tool's name can be meant by")
        return cls(names, Scope(scope) if colon else None)

    def matches(self, name: str) -> bool:
        return fnmatchcase(name, self.names)


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """`allowed` is for every user who has no rules of their own (`Principal.tools`). A guest may use none.

    `need_approval` adds to what tools say of themselves, and takes nothing from it.
    """

    allowed: tuple[ToolRule, ...] = (ToolRule(ALL),)
    need_approval: tuple[ToolRule, ...] = ()

    def allows(self, principal: Principal, tool: Tool) -> bool:
        if principal.guest or (tool.scope is not None and tool.scope not in principal.scopes):
            return False
        rules = self.allowed if principal.tools is None else map(ToolRule.parse, principal.tools)
        return any(rule.matches(tool.name) and (rule.scope is None or rule.scope in principal.scopes) for rule in rules)

    def needs_approval(self, tool: Tool) -> bool:
        return tool.needs_approval or any(rule.matches(tool.name) for rule in self.need_approval)

    def unused(self, names: Iterable[str]) -> list[str]:
        """The rules by which none of these tools is meant, but for those that mean all, or none on purpose."""
        known = list(names)
        rules = {rule.names for rule in (*self.allowed, *self.need_approval)} - {ALL, NONE}
        return sorted(rule for rule in rules if not any(ToolRule(rule).matches(name) for name in known))


def tool_rules(rules: Iterable[str]) -> tuple[ToolRule, ...]:
    """Raises as `ToolRule.parse`."""
    return tuple(map(ToolRule.parse, rules))
