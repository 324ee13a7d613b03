"""Tools that are Python functions."""

from chatorch.adapters.tools.python.tools import PythonTools
from chatorch.adapters.tools.python.unusable import UnusableTool

__all__ = ["PythonTools", "UnusableTool"]
