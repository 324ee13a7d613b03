"""An account as ``chatorch users list`` shows it."""

from collections.abc import Iterator

from chatorch.domain.model.identity import Scope, User


def columns_of(user: User) -> Iterator[str]:
    """Name, id, scopes, state; and one more each for who has no password, or other tools than all others."""
    yield user.username
    yield user.id
    yield " ".join(scope.value for scope in Scope if scope in user.scopes)
    yield "disabled" if user.disabled else "enabled"
    if user.password_hash is None:
        yield "no password"
    if user.tools is not None:
        yield f"tools: {', '.join(user.tools) or 'none'}"
