"""What a package with tools imports of us."""

import subprocess
import sys

import pytest

from chatorch.tools import Scope, ToolOptions, options_of, tool

LOADED = """
import sys
import chatorch.tools
foreign = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names - {"chatorch", "__main__"}
print(sorted(name for name in foreign if not name.startswith("_")))
"""


def test_a_marked_function_is_the_same_function():
    def add(left: int, right: int) -> int:
        return left + right

    assert tool(add) is add
    assert tool(name="plus", needs_approval=True, idempotent=True, scope="admin")(add) is add
    assert options_of(add) == ToolOptions("plus", needs_approval=True, idempotent=True, scope=Scope.ADMIN)
    assert add(1, 2) == 3


def test_nobody_has_to_mark_a_function():
    assert options_of(len) == ToolOptions(name=None, needs_approval=False, idempotent=False, scope=None)


def test_a_scope_that_is_none_is_refused_where_it_is_written():
    with pytest.raises(ValueError, match="root"):
        tool(scope="root")  # type: ignore[call-overload]


def test_the_standard_library_is_enough():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
