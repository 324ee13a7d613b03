"""The prefix below which a proxy shows the service, as the command line is given it."""

import re

from chatorch.entrypoints.process.listening import ServeRefused

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def checked_prefix(text: str) -> str:
    """Without a ``/`` at the end. Raises `ServeRefused`."""
    prefix = text.rstrip("/")
    if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
        raise ServeRefused("--root-path: must be a path such as /chat")
    return prefix
