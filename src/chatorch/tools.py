"""What a package with tools imports of us: the standard library is enough for it, and the service need not be there.

A tool is a typed function, named in the entry-point group ``chatorch.tools``: docs/tools.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

from chatorch.domain.model.identity import Scope
from chatorch.ports.tools import ToolArgumentsInvalid, ToolContext, ToolError, ToolOutput, ToolProgress

__all__ = [
    "Scope",
    "ToolArgumentsInvalid",
    "ToolContext",
    "ToolError",
    "ToolOptions",
    "ToolOutput",
    "ToolProgress",
    "options_of",
    "tool",
]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__chatorch_tool__"


@dataclass(frozen=True, slots=True)
class ToolOptions:
    """What a function says of itself as a tool. `name`: None for the function's own."""

    name: str | None = None
    needs_approval: bool = False
    idempotent: bool = False
    scope: Scope | None = None


@overload
def tool(function: F, /) -> F: ...


@overload
def tool(
    *,
    name: str | None = None,
    needs_approval: bool = False,
    idempotent: bool = False,
    scope: Scope | Literal["chat", "admin"] | None = None,
) -> Callable[[F], F]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    needs_approval: bool = False,
    idempotent: bool = False,
    scope: str | None = None,
) -> Any:
    """Marks a function as a tool, and is no wrapper: the function stays what it is.

    With `needs_approval` a person has to agree before each call. Only one that is `idempotent` is called a second time
    for the same call, where nobody knows whether the first time got through. Who lacks the `scope` is not offered it.
    Raises `ValueError` for a scope that is none.
    """
    options = ToolOptions(name, needs_approval, idempotent, None if scope is None else Scope(scope))

    def mark(function: F) -> F:
        setattr(function, _MARK, options)
        return function

    return mark if function is None else mark(function)


def options_of(function: Callable[..., Any]) -> ToolOptions:
    """As `tool` marked it, or the defaults: a function that nobody marked can be a tool, too."""
    options = getattr(function, _MARK, None)
    return options if isinstance(options, ToolOptions) else ToolOptions()
