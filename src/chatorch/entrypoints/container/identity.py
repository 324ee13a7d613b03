"""How tokens are signed, how often a password may be wrong, and how much guests may do."""

from chatorch.adapters.identity.jwt_tokens import JwtTokenSigner
from chatorch.domain.model.rates import Rate
from chatorch.domain.services.admission import GuestLimits
from chatorch.domain.services.identity.attempts import AttemptLimits
from chatorch.entrypoints.settings import Settings


def token_signer(settings: Settings) -> JwtTokenSigner:
    secret = settings.secret_key.get_secret_value()
    return JwtTokenSigner(secret, issuer=settings.token_issuer, audience=settings.token_audience)


def attempt_limits(settings: Settings) -> AttemptLimits:
    """Twice as many are tried as are hashed, so that nothing stands still between two of them."""
    return AttemptLimits(
        of_name=settings.wrong_passwords_per_user,
        of_address=settings.wrong_passwords_per_address,
        window_s=settings.wrong_passwords_window_s,
        at_once=2 * settings.password_workers,
    )


def guest_limits(settings: Settings) -> GuestLimits:
    return GuestLimits(
        rate=Rate(settings.guest_requests_per_minute, 60),
        live=settings.max_live_guest_runs,
        live_per_address=settings.max_live_guest_runs_per_address,
    )
