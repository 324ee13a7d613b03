"""Who asks: whose credentials count, how tokens are signed, how often a password may be wrong, and when access ends."""

from dependency_injector import providers

from chatorch.adapters.identity.argon2_passwords import Argon2PasswordHasher
from chatorch.adapters.identity.jwt_tokens import JwtTokens
from chatorch.domain.services.identity.accounts import Accounts
from chatorch.domain.services.identity.attempts import AttemptLimits, Attempts
from chatorch.domain.services.identity.identify import Identify
from chatorch.domain.services.identity.revocation import Revocation
from chatorch.domain.services.identity.sign_in import SignIn
from chatorch.entrypoints.container.runs import RunsTopic
from chatorch.entrypoints.container.world import LongLived
from chatorch.entrypoints.settings import Settings


def own_tokens(settings: Settings) -> JwtTokens:
    secret = settings.secret_key.get_secret_value()
    return JwtTokens(secret, issuer=settings.token_issuer, audience=settings.token_audience)


def attempt_limits(settings: Settings) -> AttemptLimits:
    """Twice as many are tried as are hashed, so that nothing stands still between two of them."""
    return AttemptLimits(
        of_name=settings.wrong_passwords_per_user,
        of_address=settings.wrong_passwords_per_address,
        window_s=settings.wrong_passwords_window_s,
        at_once=2 * settings.password_workers,
    )


class IdentityTopic(RunsTopic):
    passwords = providers.Singleton(Argon2PasswordHasher, workers=RunsTopic.settings.provided.password_workers)
    tokens = providers.Singleton(own_tokens, RunsTopic.settings)
    credential_verifiers = providers.List(tokens)
    """Asked in this order. The one for our own tokens leaves alone what is none."""
    identify = providers.Singleton(
        Identify,
        users=RunsTopic.users,
        verifiers=credential_verifiers,
        clock=RunsTopic.clock,
        ids=RunsTopic.ids,
        telemetry=RunsTopic.telemetry,
    )
    sign_in = providers.Singleton(
        SignIn,
        users=RunsTopic.users,
        passwords=passwords,
        tokens=tokens,
        clock=RunsTopic.clock,
        ids=RunsTopic.ids,
        attempts=providers.Singleton(Attempts, RunsTopic.clock, providers.Callable(attempt_limits, RunsTopic.settings)),
        token_life_s=RunsTopic.settings.provided.access_token_life_s,
    )
    accounts = providers.Singleton(
        Accounts, users=RunsTopic.users, passwords=passwords, clock=RunsTopic.clock, ids=RunsTopic.ids
    )
    revocation = providers.Singleton(
        Revocation,
        identify=identify,
        executor=RunsTopic.executor,
        clock=RunsTopic.clock,
        telemetry=RunsTopic.telemetry,
    )

    loops: LongLived = (revocation.provided.keep_watch,)
    closing: LongLived = (passwords,)
