"""Tools that installed packages name, where any do: nothing of theirs is loaded before."""

import sys
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from chatorch.entrypoints.settings import Settings

if TYPE_CHECKING:
    from chatorch.adapters.tools.python import PythonTools

GROUP = "chatorch.tools"


def python_tools(settings: Settings) -> "PythonTools | None":
    """None where no package has an entry point of the group."""
    if not _any_installed(tuple(sys.path)):
        return None
    from chatorch.adapters.tools.python import PythonTools  # noqa: PLC0415  # a megabyte of a process that has none

    return PythonTools.installed(threads=settings.tool_threads)


@cache
def _any_installed(_path: tuple[str, ...]) -> bool:
    """It reads a file of each package on the path, which whoever makes many containers needs to do but once."""
    return bool(entry_points(group=GROUP))
