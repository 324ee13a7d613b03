"""Why a provider was not reached, or broke off, in words for an operator's log.

Nothing of an error's own text goes along: it may quote addresses, headers or the key. The one exception is OpenSSL's
reason why a certificate is not trusted, which is one of its own phrases.
"""

import errno
import re
import socket
import ssl
from collections.abc import Iterator

import aiohttp

MOST_LINKS = 8
_ADDRESS = "see {address}"
"""Whose name the error puts in; see `SettingNames`."""

_NETWORK = {
    errno.ECONNREFUSED: f"connection refused: nothing listens at its address; {_ADDRESS}",
    errno.ECONNRESET: "connection reset by the provider, or by something on the way to it",
    errno.EPIPE: "connection reset by the provider, or by something on the way to it",
    errno.EHOSTUNREACH: f"its machine cannot be reached; {_ADDRESS}, and the network",
    errno.ENETUNREACH: f"its network cannot be reached; {_ADDRESS}, and the network",
    errno.EACCES: "permission denied: this process may not connect there; see its firewall or sandbox",
    errno.EPERM: "permission denied: this process may not connect there; see its firewall or sandbox",
    errno.ETIMEDOUT: "the network gave the connection up",
    errno.EMFILE: "this process has too many files open",
    errno.ENFILE: "this machine has too many files open",
}
_PHRASE = re.compile(r"[A-Za-z][A-Za-z0-9 -]{0,80}")


def network_cause(error: BaseException) -> str | None:
    """Of what aiohttp and asyncio raise; None for what is not the network's."""
    chain = list(_chain(error))
    for words_of in (_of_the_way, _of_the_system, _of_the_answer):
        for link in chain:
            if words := words_of(link):
                return words
    return None


def _of_the_system(error: BaseException) -> str | None:
    return _NETWORK.get(_errno_of(error)) if isinstance(error, OSError) else None


def _of_the_answer(error: BaseException) -> str | None:
    match error:
        case aiohttp.ServerDisconnectedError():
            return "the provider closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            return "the answer broke off before its end: the connection was closed or reset"
    return None


def _of_the_way(error: BaseException) -> str | None:
    match error:
        case aiohttp.ClientHttpProxyError():
            return f"the proxy answered with status {error.status}; see HTTPS_PROXY and NO_PROXY"
        case socket.gaierror():
            return f"DNS: the name of its host cannot be resolved; {_ADDRESS}, or the DNS"
        case aiohttp.ClientConnectorCertificateError():
            return None  # it is one of `ssl`'s as well, but the next link has the reason
        case ssl.SSLCertVerificationError():
            phrase = _PHRASE.match(getattr(error, "verify_message", None) or "")
            because = f" ({phrase[0].strip()})" if phrase else ""
            return f"TLS: its certificate is not trusted{because}; see SSL_CERT_FILE"
        case ssl.SSLError():
            return f"TLS fails: it speaks none (http://), or no version in common; {_ADDRESS}"
    return None


def _errno_of(error: OSError) -> int:
    """asyncio joins the errors of several addresses into one that has only a text."""
    if error.errno:
        return error.errno
    found = re.search(r"\[Errno (\d+)\]", str(error))
    return int(found[1]) if found else 0


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was made of; aiohttp keeps the network's own in members."""
    for _ in range(MOST_LINKS):
        if error is None:
            return
        yield error
        inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
        error = (
            inner if isinstance(inner, BaseException) and inner is not error else error.__cause__ or error.__context__
        )
