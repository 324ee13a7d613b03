"""One way in: what a door is, and which of several is asked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute
from starlette.types import Scope

from chatorch.entrypoints.common.error_form import ErrorForm
from chatorch.entrypoints.common.field_paths import NO_NAMES, FieldNames
from chatorch.entrypoints.common.problems import PROBLEMS

ANYWHERE = "/{path:path}"
"""The path of a route that takes what no other does, the last of all; its errors are told as those of the path."""


@dataclass(frozen=True, slots=True)
class Door:
    """All that is said of one way in; nothing else knows it.

    Below `paths` errors are told in its form (`errors`), also where no route is; and those of its routes, wherever
    these are. `fields` are the names that may appear in them. How strictly a body is read is its routes' own
    (`StrictRoute.strictness`), and what it wants of the container is in its `Needs`. `websocket` is the class that the
    server must use for WebSockets, where the door has any: a class as `uvicorn.Config.ws` takes it.
    """

    name: str
    paths: tuple[str, ...]
    routes: tuple[BaseRoute, ...]
    errors: ErrorForm = PROBLEMS
    fields: FieldNames = NO_NAMES
    websocket: type | None = None


PREFIX_KEY = "chatorch.prefix"
"""In the scope: `root_path` as it was where the application was entered; a `Mount` inside puts its own behind it."""

NO_DOOR = Door("none", (), ())


class Doors:
    """Side by side. What is no door's at all is told as the first one tells it. Raises `ValueError` where two of them
    cannot stand beside each other."""

    def __init__(self, doors: Sequence[Door] = ()) -> None:
        self._doors = tuple(doors)
        self._first = self._doors[0] if self._doors else NO_DOOR
        self._by_path = _once((path, door) for door in self._doors for path in door.paths)
        self._by_endpoint = {
            id(endpoint): door
            for door in self._doors
            for route in door.routes
            if getattr(route, "path", None) != ANYWHERE
            for endpoint in [getattr(route, "endpoint", None) or getattr(route, "app", None)]
        }
        self._by_template = {str(getattr(route, "path", "")): door for door in self._doors for route in door.routes}
        self.websocket = self._one_websocket()
        self.first_segments = frozenset(path.split("/")[1] for path in self._by_path) - {""}

    def __iter__(self) -> Iterator[Door]:
        return iter(self._doors)

    @property
    def routes(self) -> list[BaseRoute]:
        """In the order in which they are to be asked."""
        found = [route for door in self._doors for route in door.routes]
        return sorted(found, key=lambda route: getattr(route, "path", None) == ANYWHERE)

    def of(self, scope: Scope) -> Door:
        """Whose route was found, else whose path it is."""
        door = self._by_endpoint.get(id(scope["endpoint"])) if "endpoint" in scope else None
        return door or self.at(path_below(scope))

    def at(self, path: str) -> Door:
        """Whose path this is: of several, the longest's."""
        while path:
            if path in self._by_path:
                return self._by_path[path]
            path = path.rpartition("/")[0]
        return self._by_path.get("/", self._first)

    def of_template(self, path: str) -> Door:
        """Whose route has this template, such as ``/api/runs/{run_id}``."""
        return self._by_template.get(path) or self.at(path)

    def form_of(self, scope: Scope) -> ErrorForm:
        return self.of(scope).errors

    def _one_websocket(self) -> type | None:
        wanted = {door.websocket: door.name for door in self._doors if door.websocket is not None}
        if len(wanted) > 1:
            raise ValueError(f"doors {' and '.join(wanted.values())} want different WebSocket classes of the server")
        return next(iter(wanted), None)


def path_below(scope: Scope) -> str:
    """The path without the prefix below which the application stands (ASGI: `path` begins with `root_path`)."""
    path, prefix = str(scope["path"]), str(scope.get(PREFIX_KEY, "")).rstrip("/")
    return path[len(prefix) :] or "/" if prefix and (path + "/").startswith(prefix + "/") else path


def _once(pairs: Iterator[tuple[str, Door]]) -> dict[str, Door]:
    found: dict[str, Door] = {}
    for path, door in pairs:
        if path in found:
            raise ValueError(f"doors {found[path].name} and {door.name} both have the path {path}")
        found[path] = door
    return found
