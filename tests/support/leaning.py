"""What classes of ours use of a library's class that they are made of, or hold, and whether it is still there."""

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

Node = ast.ClassDef | ast.FunctionDef


def gone(library: type, *ours: type, see: str, holder: str = "self", also: tuple[str, ...] = ()) -> list[str]:
    """A sentence for each name that our classes use of `library`, through `holder`, and that it does not have.

    `also` are names that ours take the place of: where the library calls them no more, nobody does.
    """
    used = {node.attr for each in ours for node in _attributes(_source_of(each), holder)}
    if holder == "self":
        used -= set().union(*map(_own, ours))
    return [
        f"{library.__module__.partition('.')[0]}'s {library.__name__} no longer has {name!r}: see {see}"
        for name in sorted((used | set(also)) - _has(library))
    ]


@cache
def _has(library: type) -> frozenset[str]:
    """The names that an object of this class has, and those that its own code gives it."""
    names = set(dir(library))
    for each in library.__mro__:
        node = _source_of(each)
        names |= set(getattr(each, "__slots__", ())) | (_stored(node) if node else set())
    return frozenset(names)


def _own(ours: type) -> set[str]:
    """What a class of ours brings itself: what it defines, declares, or sets when it is made.

    Not what it defines only to add to what the library does.
    """
    node = _source_of(ours)
    assert node is not None
    made = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    added = {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Call) and _last(each.value.func) == "super"
    }
    return ({*vars(ours), *getattr(ours, "__annotations__", {})} | set().union(*map(_stored, made))) - added


def _stored(node: Node) -> set[str]:
    return {each.attr for each in _attributes(node, "self") if isinstance(each.ctx, ast.Store)}


def _attributes(node: Node | None, holder: str) -> Iterator[ast.Attribute]:
    """All of ``holder.name`` and ``self.holder.name``."""
    for each in ast.walk(node) if node else ():
        if isinstance(each, ast.Attribute) and _last(each.value) == holder:
            yield each


def _last(node: ast.expr) -> str:
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return node.attr
    return ""


def _source_of(kind: type) -> ast.ClassDef | None:
    """None for one that is written in C."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None or not file.endswith(".py"):
        return None
    names = [name for name in kind.__qualname__.split(".") if name != "<locals>"]
    return _inner(_parsed(file).body, names)


def _inner(body: Iterable[ast.stmt], names: list[str]) -> ast.ClassDef | None:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == names[0]:
            if len(names) > 1:
                return _inner(node.body, names[1:])
            if isinstance(node, ast.ClassDef):
                return node
    return None


@cache
def _parsed(file: str) -> ast.Module:
    return ast.parse(Path(file).read_text(encoding="utf-8"))
