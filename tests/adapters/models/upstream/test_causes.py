"""Why a provider failed, as an operator is told: status, deadline, or what the network did; and nothing secret."""

import asyncio
import re
import socket
import ssl
from pathlib import Path

import aiohttp
import httpx2
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from chatorch.adapters.models.openai.listing import list_models
from chatorch.adapters.models.upstream.causes import network_cause
from chatorch.adapters.models.upstream.client import require_trust
from chatorch.adapters.models.upstream.transport import AiohttpTransport
from chatorch.domain.model.upstream_errors import UpstreamError
from tests.adapters.models.conftest import KEY, NewModel
from tests.adapters.models.openai.test_faults import listen, prompt
from tests.support.certificates import Authority
from tests.support.upstream import Upstream, bare, hang, reset, status, text
from tests.support.ways import NOWHERE, answering, closed_port, silent_port, tls_context

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


async def test_a_way_that_leads_nowhere_is_told(new_model: NewModel) -> None:
    with closed_port() as closed:
        for host, words in ((f"127.0.0.1:{closed}", "connection refused"), (NOWHERE, "DNS: the name of its host")):
            url = f"http://user:{SECRET}@{host}/v1?key={SECRET}"
            assert words in str((await failure(new_model(base_url=url), "a")).cause)
            with pytest.raises(UpstreamError) as of_list:
                await list_models(KEY, url)
            assert words in str(of_list.value.cause)


async def test_why_tls_fails_is_told(new_model: NewModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
    for certificate, words in (
        (authority.issue("127.0.0.1", expired=True), "is not trusted (certificate has expired)"),
        (authority.issue("elsewhere.example"), "is not trusted (IP address mismatch"),
        (Authority(tmp_path, "others").issue("127.0.0.1"), "is not trusted (unable to get local issuer certificate)"),
        (None, "TLS fails: it speaks none"),
    ):
        async with answering(b"HTTP/1.1 400 No\r\n\r\n", tls_context(certificate) if certificate else None) as port:
            model = new_model(base_url=f"https://127.0.0.1:{port}/v1?key={SECRET}")
            assert words in str((await failure(model, "a")).cause)
    trusted = authority.issue("127.0.0.1")
    async with answering(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", tls_context(trusted)) as port:
        assert (await failure(new_model(base_url=f"https://127.0.0.1:{port}/v1"), "a")).status == 400


async def test_a_connection_that_is_never_made_is_told(upstream: Upstream, new_model: NewModel) -> None:
    with silent_port() as port:
        transport = AiohttpTransport(connect_timeout=0.1, ssl_context=ssl.create_default_context())
        model = new_model(base_url=f"https://127.0.0.1:{port}/v1", http_client=httpx2.AsyncClient(transport=transport))
        assert "no connection in time" in str((await failure(model, "a")).cause)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_cannot_be_read_are_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, str(tmp_path / SECRET))
    require_trust("http://127.0.0.1/v1")
    if name == "SSL_CERT_FILE":
        with pytest.raises(ValueError, match=r"^SSL_CERT_FILE: cannot be read \(No such file"):
            require_trust("https://models.test/v1")
        (tmp_path / SECRET).write_text("no certificate")
        with pytest.raises(ValueError, match=r"^SSL_CERT_FILE: is no file of certificates"):
            require_trust("https://127.0.0.1/v1")


async def test_a_connection_that_ends_is_told(upstream: Upstream, new_model: NewModel) -> None:
    for steps, words in (([text("a"), reset()], "broke off"), ([bare(b"")], "closed the connection")):
        assert words in str((await failure(new_model(), upstream.model(steps))).cause)


async def test_the_deadline_that_passed_is_told(upstream: Upstream, hasty: object) -> None:
    for steps, words in (
        ([hang()], "no first piece within 0.4 s"),
        ([text("a"), hang()], "nothing more within 0.4 s"),
        ([text(*"abcdefghijklmnopqrstuvwxyz", every=0.1), hang()], "not the whole answer within 2 s"),
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
