"""The tools of installed packages: entry points of the group ``chatorch.tools``."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import structlog

from chatorch.adapters.tools.python.functions import PythonTool, tool_of
from chatorch.adapters.tools.python.unusable import UnusableTool

GROUP = "chatorch.tools"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """What an entry point names and cannot be offered. `reason` is safe to be shown."""

    entry_point: str
    package: str | None
    reason: str


def installed_tools() -> tuple[list[PythonTool], list[Refused]]:
    """In the order of the names of entry points; and what cannot be offered, each with a line in the log: what does not
    load, what is no tool, and all that have one name, since nobody can say which of them is meant.
    """
    found: dict[str, list[tuple[EntryPoint, PythonTool]]] = {}
    refused: list[Refused] = []
    for entry_point in sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value)):
        for tool in _tools_of(entry_point):
            if isinstance(tool, Refused):
                refused.append(tool)
                continue
            named = found.setdefault(tool.tool.name, [])
            if all(tool.function is not other.function for _, other in named):
                named.append((entry_point, tool))
    for name, named in found.items():
        if len(named) > 1:
            for entry_point, _ in named:
                refused.append(_refuse(entry_point, f"{name}: {len(named)} tools have this name"))
    return [named[0][1] for named in found.values() if len(named) == 1], refused


def _tools_of(entry_point: EntryPoint) -> Iterator[PythonTool | Refused]:
    try:
        functions = list(_functions(entry_point.load()))
    except (Exception, SystemExit) as error:
        name = error.name if isinstance(error, (AttributeError, ImportError, NameError)) else None
        what = type(error).__name__ + (f": {name}" if name else "")
        yield _refuse(entry_point, f"it cannot be loaded ({what})", error)
        return
    for function in functions:
        try:
            yield tool_of(function)
        except UnusableTool as error:
            yield _refuse(entry_point, str(error), error.__cause__)
        except Exception as error:
            yield _refuse(entry_point, "it cannot be offered", error)


def _functions(loaded: Any) -> Iterable[Any]:
    several = isinstance(loaded, Iterable) and not isinstance(loaded, (str, bytes, Mapping, type))
    return loaded if several else (loaded,)


def _refuse(entry_point: EntryPoint, reason: str, error: BaseException | None = None) -> Refused:
    package = None
    with suppress(Exception):  # it may lack its metadata
        package = entry_point.dist.name if entry_point.dist else None
    given = {"exc_info": error} if error is not None else {}
    place = {"entry_point": entry_point.name, "value": entry_point.value, "package": package}
    log.error("tool_not_offered", **place, reason=reason, **given)
    return Refused(entry_point.name, package, reason)
