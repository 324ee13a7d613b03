"""Whether somebody on this machine asks, and not a proxy for somebody else."""

from starlette.types import Scope

from chatorch.domain.model.addresses import is_loopback

FORWARDED = (b"x-forwarded-", b"forwarded", b"x-real-ip", b"via")
"""How the headers begin by which proxies tell that they are one (RFC 7239; RFC 9110, 7.6.3)."""


def is_local(scope: Scope) -> bool:
    """The connection comes from loopback, and nothing says that it was passed on.

    Who comes over a Unix socket is mostly a proxy. One that says nothing of itself cannot be told apart.
    """
    client = scope.get("client")
    if not client or not is_loopback(client[0]):
        return False
    return not any(name.startswith(FORWARDED) for name, _ in scope["headers"])
