"""What a client sees through the public address: what proxies on the way may spoil."""

import io
import json
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
from aiohttp import InvalidURL
from yarl import URL

from chatorch.entrypoints.common.origins import PORTS, AllowedOrigins
from chatorch.entrypoints.common.problems import MEDIA_TYPE
from chatorch.entrypoints.common.service import SERVICE
from chatorch.entrypoints.doctor.finding import WITHIN_S, Amiss, Finding, looked
from chatorch.entrypoints.doctor.piecewise import answer_piece_by_piece
from chatorch.entrypoints.doctor.reaching import PROXIES, reached
from chatorch.entrypoints.settings import Settings

BAD_TOKEN = 4401
"""As a WebSocket is closed on whoever brings none that counts; doctor is a client as any other."""
FOREIGN = "https://foreign.invalid"
MOST_TRIED = 8 * 1024 * 1024
"""Bytes of a body. A larger one takes longer on its way than a look may last."""
MOST_READ = 64 * 1024
UNKNOWN_USER = '{"type":"auth","token":"none"}'

Session = aiohttp.ClientSession
Look = Callable[[Session, str], Awaitable[str]]


async def look_outside(url: str, settings: Settings, token: str | None) -> list[Finding]:
    """`token` is a user's. Without one, and where no guests may chat, nothing is asked of the model.

    Where nothing answers, or it answers from elsewhere, that is all that is found.
    """
    base = url.rstrip("/")
    # A connection for each: one that a proxy closed behind an early answer would spoil the next look.
    connector = aiohttp.TCPConnector(force_close=True)
    async with Session(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:

        async def found(topic: str, look: Look, within_s: float = WITHIN_S) -> Finding:
            return await looked(f"public {topic}", partial(reached, partial(look, session, base)), within_s=within_s)

        findings = [await found("address", _address)]
        if not findings[0].well:
            return findings
        any_page = AllowedOrigins(settings.cors_origins).any
        findings += [
            await found("/health", _health),
            await found("request id", _request_id),
            await found("WebSocket", _web_socket),
            await found("own Origin", _own_origin),
            await found("foreign Origin", partial(_foreign_origin, any_page=any_page)),
            await found("body cap", partial(_body_cap, most=settings.body_cap_bytes)),
        ]
        if token is None and not settings.anonymous_chat:
            left_out = "left out: it needs a user's token, in CHATORCH_DOCTOR_TOKEN or by --token-stdin"
            return [*findings, Finding("public event stream", True, left_out)]
        patience_s = WITHIN_S + settings.first_piece_timeout_s
        return [*findings, await found("event stream", partial(answer_piece_by_piece, token=token), patience_s)]


async def _address(session: Session, base: str) -> str:
    if URL(base).scheme not in PORTS or "?" in base or "#" in base:
        raise InvalidURL(base)
    async with session.get(f"{base}/health", allow_redirects=False) as answer:
        if not 300 <= answer.status < 400:
            return "it is reached"
        raise Amiss(f"it redirects{_whither(base, answer)}; give the address that pages use with --url")


def _whither(base: str, answer: aiohttp.ClientResponse) -> str:
    """The origin only: the rest may hold what is nobody's business."""
    try:
        target = URL(base).join(URL(answer.headers.get("Location", ""))).origin()
    except ValueError:
        return ""
    return f" to {target}" if target != URL(base).origin() else " to another path"


async def _health(session: Session, base: str) -> str:
    async with session.get(f"{base}/health", allow_redirects=False) as answer:
        if answer.status != 200:
            raise Amiss(f"status {answer.status} in place of 200; does the address lead to chatorch? {PROXIES}")
        told = await _object_in(answer)
        if told.get("service") != SERVICE:
            raise Amiss(f"what answers is not chatorch; {PROXIES}")
        return "chatorch answers"


async def _object_in(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    """An empty one where there is none, or too much."""
    body = b""
    while len(body) <= MOST_READ and (more := await answer.content.readany()):
        body += more
    try:
        told = json.loads(body) if len(body) <= MOST_READ else None
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


async def _request_id(session: Session, base: str) -> str:
    sent = f"doctor-{secrets.token_hex(8)}"
    async with session.get(f"{base}/health", headers={"X-Request-ID": sent}, allow_redirects=False) as answer:
        if answer.headers.get("X-Request-ID") != sent:
            raise Amiss("X-Request-ID is not passed through both ways, so logs cannot be matched")
    return "X-Request-ID is passed through"


async def _web_socket(session: Session, base: str) -> str:
    """A frame each way: a token that is none is sent, and refused."""
    try:
        async with session.ws_connect(f"{base}/ws/chat/doctor") as socket:
            await socket.send_str(UNKNOWN_USER)
            answer = await socket.receive()
            while answer.type is aiohttp.WSMsgType.TEXT:
                answer = await socket.receive()
            if socket.close_code != BAD_TOKEN:
                raise Amiss(f"the upgrade is passed through, and frames are not as they were sent; {PROXIES}")
            return "the upgrade is passed through, and frames both ways"
    except aiohttp.WSServerHandshakeError as error:
        raise Amiss(f"the upgrade is answered with status {error.status}; {PROXIES}") from error


async def _own_origin(session: Session, base: str) -> str:
    own = str(URL(base).origin())
    if (status := await _status_for(session, base, own)) == 101:
        return f"pages of {own} may connect"
    if status != 403:
        raise Amiss(f"a page of {own} is answered with status {status} in place of the upgrade; {PROXIES}")
    raise Amiss(
        f"a page of {own} is taken for a foreign one: let the proxy pass on Host, or X-Forwarded-Host and -Proto with "
        f"CHATORCH_TRUSTED_PROXIES, or name it in CHATORCH_CORS_ORIGINS; {PROXIES}"
    )


async def _foreign_origin(session: Session, base: str, *, any_page: bool) -> str:
    status = await _status_for(session, base, FOREIGN)
    if status == 101 and any_page:
        return "a page of any origin may connect, as CHATORCH_CORS_ORIGINS says"
    if status == 101:
        raise Amiss("a page of any origin may connect; see CHATORCH_CORS_ORIGINS, and what the proxy does to Origin")
    if status != 403:
        raise Amiss(f"a foreign origin is answered with status {status} in place of 403; {PROXIES}")
    return "a page of a foreign origin is refused"


async def _status_for(session: Session, base: str, origin: str) -> int:
    try:
        async with session.ws_connect(f"{base}/ws/chat/doctor", origin=origin):
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


async def _body_cap(session: Session, base: str, *, most: int) -> str:
    if most > MOST_TRIED:
        return "not tried: CHATORCH_BODY_CAP_BYTES is too much for a look"
    status, ours = await _status_of_body(session, base, most)
    if status == 413 and not ours:  # without a token, ours comes earlier
        raise Amiss(f"a body of CHATORCH_BODY_CAP_BYTES is refused on the way; let the proxy take more; {PROXIES}")
    status, ours = await _status_of_body(session, base, most + 1)
    if status != 413:
        raise Amiss(f"a body over CHATORCH_BODY_CAP_BYTES is answered with {status}, not 413; {PROXIES}")
    if not ours:
        raise Amiss(f"a body that is too large meets a page of the proxy's; let it take a little more; {PROXIES}")
    return "a body that is too large is refused with 413, and one that is not is let through"


async def _status_of_body(session: Session, base: str, size: int) -> tuple[int, bool]:
    """And whether it is a problem, as ours are."""
    address = f"{base}/api/chat/protected"
    async with session.post(address, data=io.BytesIO(b" " * size), allow_redirects=False) as answer:
        return answer.status, answer.content_type == MEDIA_TYPE
