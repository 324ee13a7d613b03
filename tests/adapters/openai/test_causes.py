"""Why a provider failed, as an operator is told: status, deadline, or what the network did; and nothing secret."""

import asyncio
import re
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from chatorch.adapters.openai.causes import network_cause
from chatorch.domain.model.upstream_errors import UpstreamError
from tests.adapters.openai.conftest import KEY, NewModel
from tests.adapters.openai.test_faults import listen, prompt
from tests.support.upstream import Upstream, bare, hang, reset, status, text

SECRET = "canary4711"
WHERE = ConnectionKey(f"{SECRET}.test", 443, True, True, None, None, None)


async def failure(model: object, name: str) -> UpstreamError:
    error = (await listen(model, prompt(name))).error
    assert isinstance(error, UpstreamError)
    for said in (error.cause or "", error.detail):
        assert KEY not in said
        assert SECRET not in said
    return error


@pytest.mark.parametrize("code", [400, 401, 403, 404, 429, 500, 502, 503, 504, 529])
async def test_a_status_is_told(upstream: Upstream, new_model: NewModel, code: int) -> None:
    name = upstream.model(status(code, body="{authorization}"))
    assert (await failure(new_model(), name)).status == code


async def test_a_refused_connection_is_told(new_model: NewModel) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        model = new_model(base_url=f"http://user:{SECRET}@127.0.0.1:{closed.getsockname()[1]}/v1?key={SECRET}")
        assert "refused" in str((await failure(model, "a")).cause)


async def test_a_connection_that_ends_is_told(upstream: Upstream, new_model: NewModel) -> None:
    for steps, words in (([text("a"), reset()], "broke off"), ([bare(b"")], "closed the connection")):
        assert words in str((await failure(new_model(), upstream.model(steps))).cause)


async def test_the_deadline_that_passed_is_told(upstream: Upstream, hasty: object) -> None:
    for steps, words in (
        ([hang()], "no first piece within 0.2 s"),
        ([text("a"), hang()], "nothing more within 0.2 s"),
        ([text(*"abcdefgh", every=0.1), hang()], "not the whole answer within 0.4 s"),
    ):
        assert words in str((await failure(hasty, upstream.model(steps))).cause)


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, SECRET)
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (aiohttp.ClientConnectorCertificateError(WHERE, untrusted()), "TLS: .*self-signed certificate"),
        (aiohttp.ClientConnectorSSLError(WHERE, ssl.SSLError(1, SECRET)), "TLS fails"),
        (aiohttp.ClientConnectorDNSError(WHERE, socket.gaierror(-2, SECRET)), "^DNS"),
        (aiohttp.ClientConnectorError(WHERE, PermissionError(13, SECRET)), "permission"),
        (aiohttp.ClientConnectorError(WHERE, OSError(113, SECRET)), "cannot be reached"),
        (aiohttp.ClientConnectorError(WHERE, OSError(f"Multiple: [Errno 111] {SECRET}")), "refused"),
        (aiohttp.ClientPayloadError(SECRET), "broke off"),
        (
            aiohttp.ClientHttpProxyError(
                aiohttp.RequestInfo(URL("http://x.test"), "GET", CIMultiDictProxy(CIMultiDict()), URL("http://x.test")),
                (),
                status=407,
            ),
            "proxy answered with status 407",
        ),
    ],
)
def test_what_the_network_does_has_words_of_ours(error: Exception, words: str) -> None:
    cause = network_cause(error)
    assert cause is not None
    assert re.search(words, cause)
    assert SECRET not in cause


def test_what_is_not_the_networks_has_none() -> None:
    assert network_cause(asyncio.CancelledError()) is None
