"""A function as a tool: its name, its description and its schema are what it says of itself."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chatorch.adapters.tools.python.parameters import Parameters
from chatorch.adapters.tools.python.unusable import UnusableTool
from chatorch.domain.model.text import storable_text
from chatorch.domain.model.tools import MAX_NAME_CHARS, Tool
from chatorch.tools import options_of

MAX_DESCRIPTION_CHARS = 1024
"""OpenAI refuses a whole request where one of its tools says more."""

_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_NAME_CHARS}}}\Z")


@dataclass(frozen=True, slots=True)
class PythonTool:
    """`on_loop`: calling it does not block. `is_generator`: what it returns yields progress, and blocks as it does."""

    tool: Tool
    function: Callable[..., Any]
    parameters: Parameters
    on_loop: bool
    is_generator: bool


def tool_of(function: Any) -> PythonTool:
    """Raises `UnusableTool` for what is no function, or one that a model cannot call."""
    if not inspect.isroutine(function):
        raise UnusableTool(f"a {type(function).__name__} is no function")
    options = options_of(function)
    name = str(options.name or getattr(function, "__name__", ""))
    if not _NAME.match(name):
        raise UnusableTool(f"{name!a:.100}: a name is 1 to {MAX_NAME_CHARS} of the letters A to Z, digits, _ and -")
    try:
        parameters = Parameters(function)
    except UnusableTool as error:
        raise UnusableTool(f"{name}: {error}") from error.__cause__
    tool = Tool(
        name,
        description(function),
        parameters.schema,
        needs_approval=options.needs_approval,
        idempotent=options.idempotent,
        scope=options.scope,
    )
    on_loop = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    is_generator = inspect.isgeneratorfunction(inspect.unwrap(function))
    return PythonTool(tool, function, parameters, on_loop, is_generator)


def description(function: Callable[..., Any]) -> str:
    """The docstring, up to the paragraph with which it would be too long."""
    text = storable_text(inspect.getdoc(function) or "")
    if len(text) <= MAX_DESCRIPTION_CHARS:
        return text
    whole = text[: MAX_DESCRIPTION_CHARS + 1].rpartition("\n\n")[0].rstrip()
    return whole or text[: MAX_DESCRIPTION_CHARS - 1] + "…"
