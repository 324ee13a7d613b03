"""Tools that installed packages name, where any do: nothing of theirs is loaded before."""

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from chatorch.entrypoints.settings import Settings

if TYPE_CHECKING:
    from chatorch.adapters.tools.python import PythonTools

GROUP = "chatorch.tools"


def python_tools(settings: Settings) -> "PythonTools | None":
    """None where no package has an entry point of the group."""
    if not entry_points(group=GROUP):
        return None
    from chatorch.adapters.tools.python import PythonTools  # noqa: PLC0415  # a megabyte of a process that has none

    return PythonTools.installed(threads=settings.tool_threads)
