"""What a client sees through the public address: what proxies on the way may spoil."""

import asyncio
import io
import secrets
from collections.abc import Awaitable, Callable
from functools import partial

import aiohttp

from chatorch.entrypoints.doctor.finding import WITHIN_S, Amiss, Finding, looked
from chatorch.entrypoints.settings import Settings

FOREIGN = "https://foreign.invalid"
APART_S = 0.02
"""Pieces that come nearer to each other may have waited for each other on the way."""
PROXIES = "see docs/proxies.md"
QUESTION = {"messages": [{"role": "user", "content": "Count from one to thirty, in words."}], "stream": True}

Session = aiohttp.ClientSession


async def look_outside(url: str, settings: Settings, token: str | None) -> list[Finding]:
    """`token` is a user's. Without one, and where no guests may chat, nothing is asked of the model."""
    base = url.rstrip("/")
    async with Session(timeout=aiohttp.ClientTimeout(total=WITHIN_S)) as session:

        async def found(topic: str, look: Callable[[Session, str], Awaitable[str]]) -> Finding:
            return await looked(topic, partial(_reached, partial(look, session, base)))

        findings = [
            await found("public /health", _health),
            await found("public request id", _request_id),
            await found("public WebSocket", _web_socket),
            await found("public Origin", _origin),
            await found("public body cap", partial(_body_cap, most=settings.body_cap_bytes)),
        ]
        if token is None and not settings.anonymous_chat:
            left_out = "left out: it needs a user's token, in CHATORCH_DOCTOR_TOKEN or by --token-stdin"
            return [*findings, Finding("public event stream", True, left_out)]
        return [*findings, await found("public event stream", partial(_stream, token=token))]


async def _reached(look: Callable[[], Awaitable[str]]) -> str:
    try:
        return await look()
    except aiohttp.ClientConnectorCertificateError as error:
        raise Amiss("its certificate is not trusted") from error
    except aiohttp.ClientSSLError as error:
        raise Amiss("TLS fails; is it https there?") from error
    except aiohttp.ClientConnectorDNSError as error:
        raise Amiss("the name of its host cannot be resolved") from error
    except aiohttp.ClientConnectorError as error:
        raise Amiss("nothing listens there, or it cannot be reached") from error
    except (aiohttp.InvalidURL, aiohttp.ClientError, ValueError) as error:
        raise Amiss(f"it cannot be asked ({type(error).__name__}); see --url, and {PROXIES}") from error


async def _health(session: Session, base: str) -> str:
    async with session.get(f"{base}/health", allow_redirects=False) as answer:
        if answer.status != 200:
            raise Amiss(f"status {answer.status} in place of 200; does the address lead to chatorch? {PROXIES}")
        body = await answer.json(content_type=None)
        if not isinstance(body, dict) or "status" not in body:
            raise Amiss(f"what answers is not chatorch; {PROXIES}")
        return "chatorch answers"


async def _request_id(session: Session, base: str) -> str:
    sent = f"doctor-{secrets.token_hex(8)}"
    async with session.get(f"{base}/health", headers={"X-Request-ID": sent}, allow_redirects=False) as answer:
        if answer.headers.get("X-Request-ID") != sent:
            raise Amiss("X-Request-ID is not passed through both ways, so logs cannot be matched")
    return "X-Request-ID is passed through"


async def _web_socket(session: Session, base: str) -> str:
    try:
        async with session.ws_connect(f"{base}/ws/chat/doctor"):
            return "the upgrade is passed through"
    except aiohttp.WSServerHandshakeError as error:
        raise Amiss(f"the upgrade is answered with status {error.status}; {PROXIES}") from error


async def _origin(session: Session, base: str) -> str:
    try:
        async with session.ws_connect(f"{base}/ws/chat/doctor", origin=FOREIGN):
            raise Amiss(
                "a page of any origin may connect; see CHATORCH_CORS_ORIGINS, and what the proxy does to Origin"
            )
    except aiohttp.WSServerHandshakeError as error:
        if error.status == 403:
            return "a page of a foreign origin is refused"
        raise Amiss(f"a foreign origin is answered with status {error.status} in place of 403; {PROXIES}") from error


async def _body_cap(session: Session, base: str, *, most: int) -> str:
    async with session.post(
        f"{base}/api/chat/protected", data=io.BytesIO(b" " * (most + 1)), allow_redirects=False
    ) as answer:
        if answer.status != 413:
            raise Amiss(f"a body over CHATORCH_BODY_CAP_BYTES is answered with {answer.status}, not 413; {PROXIES}")
    return "a body that is too large is refused with 413"


async def _stream(session: Session, base: str, *, token: str | None) -> str:
    """Enough is seen once three pieces came apart from each other; leaving then cancels the run."""
    path, headers = ("/api/chat/protected", {"Authorization": f"Bearer {token}"}) if token else ("/api/chat", {})
    now = asyncio.get_running_loop().time
    apart, before = 1, 0.0
    async with session.post(f"{base}{path}", json=QUESTION, headers=headers, allow_redirects=False) as answer:
        if answer.status != 200:
            hint = "is the token good?" if answer.status == 401 else PROXIES
            raise Amiss(f"status {answer.status} in place of 200; {hint}")
        async for _ in answer.content.iter_any():
            if before and now() - before >= APART_S:
                apart += 1
            before = now()
            if apart >= 3:
                return "pieces arrive one by one"
    raise Amiss(f"the answer came all at once: something on the way holds it back; {PROXIES}")
