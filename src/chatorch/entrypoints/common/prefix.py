"""Below a prefix: what a proxy shows as ``/chat/api/…`` is ``/api/…`` here, whether it strips the prefix or not."""

from collections.abc import Collection

from starlette.types import Scope


def leave_out_twice(scope: Scope, own: Collection[str] = ()) -> None:
    """A server puts its root path before the path that came (ASGI), as if the proxy had always stripped it. Where one
    has not, the path has it twice; one of them goes.

    A prefix that begins as addresses of our own do (`own`, such as ``api``) must be stripped: there it cannot be told.
    """
    prefix: str = scope.get("root_path", "")
    if not prefix or not scope["path"].startswith(prefix * 2) or prefix.split("/")[1] in own:
        return
    rest = scope["path"][len(prefix) :]
    if rest == prefix or rest.startswith(prefix + "/"):
        scope["path"] = rest if rest != prefix else prefix + "/"
        if "raw_path" in scope:
            scope["raw_path"] = scope["raw_path"][len(prefix) :]


def public_path(scope: Scope, path: str) -> str:
    """`path` of ours as clients have to ask for it."""
    prefix: str = scope.get("root_path", "")
    return prefix.rstrip("/") + path
