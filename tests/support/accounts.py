"""Accounts and tokens made directly: as the command line and the server make them, without the seconds they take."""

from datetime import UTC, datetime, timedelta

from chatorch.adapters.identity.argon2_passwords import Argon2PasswordHasher
from chatorch.adapters.identity.jwt_tokens import JwtTokens
from chatorch.adapters.sql import SqlUserStore, open_database
from chatorch.adapters.system import TimeOrderedIds
from chatorch.domain.model.identity import Scope, User, UserId
from chatorch.ports.tokens import Claims
from tests.support.server import PASSWORD, Server

SCOPES = frozenset({Scope.CHAT})
_hashed: list[str] = []


async def sign_up(server: Server, username: str) -> None:
    """Adds a user with the password `PASSWORD` to the server's database, whose schema must be there.

    She is signed in, for a day.
    """
    now = datetime.now(UTC)
    born = now - timedelta(minutes=1)
    user = User(UserId(TimeOrderedIds().new("usr")), username, await _password_hash(), SCOPES, False, born, born)
    database = open_database(server.settings["DATABASE_URL"])
    try:
        await SqlUserStore(database).add(user)
    finally:
        await database.close()
    signer = JwtTokens(server.settings["SECRET_KEY"], issuer="chatorch", audience="chatorch")
    claims = Claims(user.id, SCOPES, "tok_1", now, now + timedelta(days=1), user.generation)
    server.tokens[username] = signer.issue(claims)


async def _password_hash() -> str:
    """At full strength, once a process: it takes as long as half a start of a server."""
    if not _hashed:
        passwords = Argon2PasswordHasher(workers=1)
        _hashed.append(await passwords.hash(PASSWORD))
        await passwords.aclose()
    return _hashed[0]
