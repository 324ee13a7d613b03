"""What two servers on the way could read in two ways: one request, one answer, and then the end (RFC 9112)."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.plumbed_app import plumbed_app, serving
from tests.support.raw_http import dialled, head

HOST = b"Host: chat\r\n"
JSON = b"Content-Type: application/json\r\n"
LIST = b"GET /api/list HTTP/1.1\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port() -> AsyncIterator[int]:
    async with serving(plumbed_app()) as (_, port):
        yield port


def framed(lines: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"POST /api/chat HTTP/" + version + b"\r\n" + HOST + JSON + lines + b"\r\n\r\n" + body


def in_chunks(body: bytes) -> bytes:
    return framed(b"Transfer-Encoding: chunked", body)


REFUSED = {
    "length and chunks": (framed(b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"), 400),
    "chunks and length": (framed(b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"0\r\n\r\n"), 400),
    "two lengths": (framed(b"Content-Length: 1\r\nContent-Length: 2", b"ab"), 400),
    "the same length twice": (framed(b"Content-Length: 1\r\nContent-Length: 1", b"a"), 400),
    **{
        f"length {given!r}": (framed(b"Content-Length: " + given, b"a"), 400)
        for given in (b"1, 1", b"+1", b"-1", b"0x1", b"1 1", b"", b"1a", b"9" * 30, b"0" * 5000 + b"1", b"\x0b1", b"1;")
    },
    **{
        f"coding {given!r}": (framed(b"Transfer-Encoding: " + given, b"0\r\n\r\n"), status)
        for given, status in {
            b"gzip, chunked": 501,
            b"identity": 501,
            b"xchunked": 501,
            b"chunked;q=1": 501,
            b",chunked": 501,
            b"gzip\r\nTransfer-Encoding: chunked": 501,
            b"chunked, chunked": 400,
            b"chunked, identity": 400,
            b"\x0bchunked": 400,
            b"chunked,": 400,
            b"": 400,
            b"chunked\r\nTransfer-Encoding: chunked": 400,
            b"chunked\r\nTransfer-Encoding: identity": 400,
        }.items()
    },
    "coding before the name's end": (framed(b"Transfer-Encoding : chunked", b"0\r\n\r\n"), 400),
    "chunks for 1.0": (framed(b"Transfer-Encoding: chunked", b"0\r\n\r\n", b"1.0"), 400),
    **{
        f"chunk size {given!r}": (in_chunks(given + b"\r\nhello\r\n0\r\n\r\n"), 400)
        for given in (b"0x5", b"+5", b" 5", b"5 ", b"5\t", b"", b"g", b"f" * 17, b"-1", b"5;a=\0", b"5;a\nb", b"5\x0b")
    },
    "chunk size ends with LF": (in_chunks(b"5\nhello\r\n0\r\n\r\n"), 400),
    "chunk runs on": (in_chunks(b"5\r\nhello0\r\n\r\n"), 400),
    "chunk ends with LF": (in_chunks(b"5\r\nhello\n0\r\n\r\n"), 400),
    "length in a trailer": (in_chunks(b"0\r\nContent-Length: 3\r\n\r\n"), 400),
    "no host": (LIST + b"\r\n", 400),
    "two hosts": (LIST + HOST + HOST + b"\r\n", 400),
    **{
        f"host {given!r}": (LIST + b"Host: " + given + b"\r\n\r\n", 400)
        for given in (b"a b", b"a, b", b"a/b", b"a@b", b"a:b", b"a?b", b"a#b", b"[::1", b"a\\b", b"<a>", b"\xe9")
    },
    **{
        f"target {given!r}": (b"GET " + given + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400)
        for given in (
            *(
                b"http://u:p@chat/api/list",
                b"ftp://chat/api/list",
                b"http:///api/list",
                b"http://a b/",
                b"http:/api/list",
            ),
            *(b"api/list", b"/api/list#x", b"/api/\xe9", b"/api/\0", b"/api/ list", b"chat:80"),
        )
    },
    "connect": (b"CONNECT chat:443 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "folded": (LIST + HOST + b"X-A: 1\r\n 2\r\n\r\n", 400),
    "folded by a tab": (LIST + HOST + b"X-A: 1\r\n\t2\r\n\r\n", 400),
    "folded at once": (LIST + b" " + HOST + b"\r\n", 400),
    "LF": (b"GET /api/list HTTP/1.1\nHost: chat\n\n", 400),
    "LF in a header": (LIST + b"Host: chat\nX: 1\r\n\r\n", 400),
    "LF at the end": (LIST + HOST + b"\n", 400),
    "CR in a header": (LIST + b"Host: chat\rX: 1\r\n\r\n", 400),
    **{
        f"{given!r} in a value": (LIST + HOST + b"X: a" + given + b"b\r\n\r\n", 400)
        for given in (b"\r", b"\0", b"\1", b"\x7f")
    },
    "NUL in a name": (LIST + HOST + b"X\0: a\r\n\r\n", 400),
    "blank before the colon": (LIST + b"Host : chat\r\n\r\n", 400),
    "no colon": (LIST + HOST + b"X\r\n\r\n", 400),
    "no name": (LIST + HOST + b": a\r\n\r\n", 400),
    "small letters": (b"get /api/list HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "another version": (b"GET /api/list HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "no version": (b"GET /api/list\r\n\r\n", 505),
    "version in small letters": (b"GET /api/list http/1.1\r\n" + HOST + b"\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_not_clear_is_refused_and_nothing_behind_it_is_read(port: int, name: str) -> None:
    sent, status = REFUSED[name]
    async with dialled(port) as line:
        line.writer.write(sent + head("GET", "/api/list"))
        answer = await line.answer()
        body = answer.problem(
            status, {501: "unknown_transfer_coding", 505: "unknown_http_version"}.get(status, "bad_request")
        )
        assert answer.headers["connection"] == "close"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "callback" not in body["detail"]
        assert await line.ended()


TAKEN = {
    "no host in 1.0": (b"GET /api/list HTTP/1.0\r\n\r\n", 200),
    "an empty host": (LIST + b"Host:\r\n\r\n", 200),
    "a host of IPv6": (LIST + b"Host: [2001:db8::1]:8000\r\n\r\n", 200),
    "an absolute address": (b"GET http://other:80/api/list?limit=5 HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "an absolute address without a path": (b"GET http://other HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "a query behind an absolute host": (b"GET http://other?limit=5 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "blank lines first": (b"\r\n\r\n" + LIST + HOST + b"\r\n", 200),
    "capital letters": (framed(b"TRANSFER-ENCODING: Chunked", b"2\r\n{}\r\n0\r\n\r\n"), 422),
    "an extension": (in_chunks(b"2;a=b\r\n{}\r\n0\r\n\r\n"), 422),
    "a zero first": (in_chunks(b"02\r\n{}\r\n0\r\n\r\n"), 422),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", TAKEN)
async def test_what_is_clear_is_taken(port: int, name: str) -> None:
    sent, status = TAKEN[name]
    async with dialled(port) as line:
        line.writer.write(sent)
        assert (await line.answer()).status == status
        if b"HTTP/1.1" in sent:
            line.writer.write(head("GET", "/api/list"))
            assert (await line.answer()).status == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_trailers_are_no_headers(port: int) -> None:
    """Else whoever may add one could sign a request, or name it."""
    sent = in_chunks(b"2\r\n{}\r\n0\r\nX-Request-ID: from-a-trailer\r\nAuthorization: Bearer x\r\n\r\n")
    async with dialled(port) as line:
        await line.send(sent[:-4], sent[-4:])
        assert (await line.answer()).headers["x-request-id"] != "from-a-trailer"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_refused_request_keeps_the_id_that_it_came_with(port: int) -> None:
    async with dialled(port) as line:
        line.writer.write(head("GET", "/api/list", ("X-Request-ID", "mine"), ("Host", "again")))
        assert (await line.answer()).problem(400, "bad_request")["request_id"] == "mine"
