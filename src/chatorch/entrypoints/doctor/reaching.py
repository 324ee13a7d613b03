"""Why an address is not reached, in words of ours."""

import ssl
from collections.abc import Awaitable, Callable

import aiohttp

from chatorch.entrypoints.doctor.finding import Amiss

PROXIES = "see docs/proxies.md"


async def reached(look: Callable[[], Awaitable[str]]) -> str:
    """Raises `Amiss` in place of what aiohttp raises."""
    try:
        return await look()
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if isinstance(error, TimeoutError):  # it is the look's own
            raise
        raise Amiss(_why(error)) from error


def _why(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not trusted{_because(error.certificate_error)}"
        case aiohttp.ClientSSLError():
            return "TLS fails: it speaks no version in common, or none; is it https there?"
        case aiohttp.ClientConnectorDNSError():
            return "the name of its host cannot be resolved"
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, ConnectionResetError):
            return "it hangs up while TLS begins; is it https there?"
        case aiohttp.ClientConnectorError():
            return "nothing listens there, or it cannot be reached"
        case aiohttp.InvalidURL() | ValueError():
            return "this is no address of the web, or the token is none; write --url https://chat.example.com"
        case aiohttp.ServerDisconnectedError():
            return f"it closes the connection without an answer; {PROXIES}"
        case aiohttp.ClientResponseError():
            return "what answers does not speak HTTP, or wants https://"
        case aiohttp.ClientPayloadError():
            return f"its answer breaks off; {PROXIES}"
    return f"the connection breaks off ({type(error).__name__}); {PROXIES}"


def _because(error: Exception) -> str:
    """OpenSSL's own phrase, such as ``certificate has expired``."""
    phrase = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else ""
    return f" ({phrase})" if phrase and phrase.isprintable() else ""
