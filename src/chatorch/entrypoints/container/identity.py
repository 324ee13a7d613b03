"""How tokens are signed."""

from chatorch.adapters.jwt_tokens import JwtTokenSigner
from chatorch.entrypoints.settings import Settings


def token_signer(settings: Settings) -> JwtTokenSigner:
    secret = settings.secret_key.get_secret_value()
    return JwtTokenSigner(secret, issuer=settings.token_issuer, audience=settings.token_audience)
